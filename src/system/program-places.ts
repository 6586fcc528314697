import path from "node:path";

/** Where a server's program may lie, the likeliest first: the absolute directories of PATH, then those that are often not in an ordinary user's. */
export function programPlaces(program: string, searchPath: string): string[] {
  const directories = [
    ...searchPath.split(":").filter((directory) => directory.startsWith("/")),
    "/usr/sbin",
    "/usr/local/sbin",
    "/opt/homebrew/bin",
    "/usr/local/bin",
    "/home/linuxbrew/.linuxbrew/bin",
  ];
  return [...new Set(directories)].map((directory) => path.join(directory, program));
}
