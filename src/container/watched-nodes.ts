/**
 * Nodes that other containers run, as ENDPOINTS_FOR names them: hosts with an optional port, separated by blanks or
 * commas.
 */
export function watchedNodes(text: string): { name: string; host: string; port: number }[] {
  return text
    .split(/[\s,]+/)
    .filter(Boolean)
    .map((word) => {
      const [, host = word, port] = /^(.*?)(?::(\d+))?$/.exec(word) ?? [];
      const name = host.toLowerCase().replaceAll(/[^a-z0-9_]/g, "_");
      return {
        name: (/^[a-z]/.test(name) ? name : `n${name}`).slice(0, 31),
        host,
        port: Number(port ?? 5432),
      };
    });
}
