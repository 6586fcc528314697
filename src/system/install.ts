/** Packages by the names that each system has for them. */
export interface Packages {
  readonly apt: string;
  readonly brew: string;
}

/** The command that installs packages on this machine. */
export type Install = (packages: Packages) => string;

/** All that a cluster needs. */
export const ALL_PACKAGES: Packages = {
  apt: "postgresql haproxy openssl",
  brew: "postgresql@17 haproxy",
};

/** How programs of this machine are found. */
export interface ProgramSearch {
  /** As PATH. */
  readonly searchPath: string;
  readonly install: Install;
}

export function installOn(machine: { readonly platform: string; readonly isRoot: boolean }): Install {
  return ({ apt, brew }) =>
    machine.platform === "darwin"
      ? `brew install ${brew}`
      : `${machine.isRoot ? "" : "sudo "}apt-get install -y ${apt}`;
}
