/** A word as a POSIX shell reads it, quoted where that is needed: for commands that somebody will type. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
