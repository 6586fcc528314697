/** Names of the commands that a help text lists, in its groups, behind its options. */
export function commandsIn(help: string): string[] {
  return help
    .slice(help.indexOf("\nOptions:"))
    .split("\n")
    .flatMap((line) => /^ {2}([a-z][a-z-]*)/.exec(line)?.[1] ?? [])
    .filter((name) => name !== "help");
}
