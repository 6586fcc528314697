import { execFileSync } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Oldest PostgreSQL that odoo-pg works with. */
const oldestPostgres = 13;

/** Programs that one PostgreSQL installation needs side by side: the server's and the client's. */
const postgresPrograms = ["postgres", "initdb", "pg_basebackup", "psql"];

/** Chromium, or what is made from it: tests of the console's page need one. */
const browsers = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** Odoo's driver: tests of pooling are run with it. */
const psycopg2Folders = ["/usr/lib/python3/dist-packages/psycopg2"];

/** Modules of Debian's own Python that Patroni needs, with the package of each. */
const patroniModules = {
  psycopg2: "python3-psycopg2",
  yaml: "python3-yaml",
  urllib3: "python3-urllib3",
  dateutil: "python3-dateutil",
  psutil: "python3-psutil",
  click: "python3-click",
  prettytable: "python3-prettytable",
  dns: "python3-dnspython",
  etcd: "python3-etcd",
  // urllib3 wants it where pyOpenSSL is installed too, and does not say so.
  idna: "python3-idna",
};

/** Debian's signing keys; other systems have them as a package. */
export const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** Where things are on this machine. */
const machine = {
  /** Programs of the system's administrator are not in every user's PATH. */
  path: [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"],
  /** Folders that hold one folder per major version (Debian, Ubuntu). */
  versioned: ["/usr/lib/postgresql"],
  /** Folders of Homebrew, with one folder per formula. */
  homebrew: ["/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"],
};

/**
 * Which of the programs that odoo-pg drives are not installed: "postgresql", "haproxy", "openssl"; and what only
 * tests need, where it is asked for: "chromium" (--browser); "prometheus" with its promtool, "unzip", "zstd", "pgbouncer", "pgbackrest", "restic",
 * "openssh-server", "systemd" (systemd-analyze), "collectd-core" and "python3-psycopg2" (--tests); what makes hosts of network namespaces, and what Patroni runs on (--hosts).
 * Looks at files only, in the order in which odoo-pg looks itself; in the usual case it starts no program.
 * @param {{ path: readonly string[], versioned: readonly string[], homebrew: readonly string[] }} places
 */
export function missingPrograms(places = machine, asked = process.argv) {
  const missing = [];
  if (!hasPostgres(places)) missing.push("postgresql");
  if (findInPath("haproxy", places.path) === undefined) missing.push("haproxy");
  if (findInPath("openssl", places.path) === undefined) missing.push("openssl");
  if (asked.includes("--browser") && findBrowser(places.path) === undefined) missing.push("chromium");
  if (asked.includes("--tests")) {
    const isMissing = (name) => findInPath(name, places.path) === undefined;
    if (isMissing("prometheus") || isMissing("promtool")) missing.push("prometheus");
    missing.push(...["unzip", "zstd", "pgbouncer", "pgbackrest", "restic"].filter(isMissing));
    // Of macOS it is a part.
    if (isMissing("sshd") && findInPath("apt-get", places.path) !== undefined) missing.push("openssh-server");
    // It verifies the unit; installed without its recommendations it starts nothing.
    if (isMissing("systemd-analyze") && findInPath("apt-get", places.path) !== undefined)
      missing.push("systemd");
    if (isMissing("collectd") && findInPath("apt-get", places.path) !== undefined)
      missing.push("collectd-core");
    // Debian's own Python alone finds Debian's modules.
    if (!psycopg2Folders.some(existsSync) && findInPath("apt-get", places.path) !== undefined)
      missing.push("python3-psycopg2");
  }
  if (asked.includes("--hosts")) {
    if (findInPath("ip", places.path) === undefined) missing.push("iproute2");
    if (findInPath("nft", places.path) === undefined) missing.push("nftables");
    if (!existsSync(debianKeyring)) missing.push("debian-archive-keyring");
    const absent = Object.entries(patroniModules).filter(
      ([module]) => !existsSync(`/usr/lib/python3/dist-packages/${module}`),
    );
    missing.push(...absent.map(([, name]) => name).filter((name) => !missing.includes(name)));
  }
  return missing;
}

/** A browser for tests; undefined where there is none. */
export function findBrowser(path = machine.path) {
  const applications = ["Chromium", "Google Chrome"].map(
    (name) => `/Applications/${name}.app/Contents/MacOS/${name}`,
  );
  return browsers.map((name) => findInPath(name, path)).find(Boolean) ?? applications.find(isExecutable);
}

/** @param {typeof machine} places */
function hasPostgres(places) {
  const versioned = places.versioned.flatMap((folder) =>
    list(folder)
      .filter((name) => Number(name) >= oldestPostgres)
      .map((name) => join(folder, name, "bin")),
  );
  if (versioned.some(isComplete)) return true;
  const homebrew = places.homebrew.flatMap((folder) =>
    list(folder)
      .filter((name) => /^postgresql(@\d+)?$/.test(name))
      .map((name) => join(folder, name, "bin")),
  );
  const configured = findInPath("pg_config", places.path);
  const others = [
    ...(configured === undefined ? [] : [firstLine(configured, "--bindir")]),
    ...homebrew,
    ...places.path.filter((folder) => folder !== ""),
  ];
  return others.some(
    (folder) =>
      folder !== undefined && isComplete(folder) && majorVersion(join(folder, "postgres")) >= oldestPostgres,
  );
}

/** @param {string} folder */
function isComplete(folder) {
  return postgresPrograms.every((program) => isExecutable(join(folder, program)));
}

/**
 * @param {string} postgres
 * @returns {number} 0 when it does not say
 */
function majorVersion(postgres) {
  return Number(/\(PostgreSQL\) (\d+)/.exec(firstLine(postgres, "--version") ?? "")?.[1] ?? 0);
}

/**
 * @param {string} program
 * @param {string} argument
 */
function firstLine(program, argument) {
  try {
    const output = execFileSync(program, [argument], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return output.split("\n")[0];
  } catch {
    return undefined;
  }
}

/**
 * @param {string} program
 * @param {readonly string[]} path
 */
export function findInPath(program, path = machine.path) {
  return path
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, program))
    .find(isExecutable);
}

/** @param {string} file */
function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @param {string} folder */
function list(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
