import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { debianKeyring, findInPath } from "./missing-programs.mjs";
import { runPhase } from "./phase.mjs";
import { SetupError } from "./setup-error.mjs";

/**
 * Where Patroni and etcd of Debian 13 are installed beside the system: the servers' user reads them there; nothing else
 * uses them.
 */
const place = "/var/cache/odoo-pg/debian-13";
/** To be put before PATH by programs that need them: `patroni` and `etcd`. */
export const debian13Programs = `${place}/bin`;

const packages = ["patroni", "etcd-server"];

/** The modules that odoo-pg makes Python read first in Patroni's process stay first. */
const keptPath = "${PYTHONPATH:+$PYTHONPATH:}";

export function debian13IsHere() {
  if (!["patroni", "etcd"].every((name) => existsSync(join(debian13Programs, name)))) return false;
  return readFileSync(join(debian13Programs, "patroni"), "utf8").includes(keptPath);
}

/**
 * Unpacks Debian 13's Patroni and etcd without installing them: Debian 12 has a Patroni that loses acknowledged rows.
 * Patroni is pure Python and runs on the system's own; etcd is one static program. apt checks Debian's signatures as
 * always; its lists and its configuration are thrown away afterwards, and the system's stay as they are.
 */
export async function unpackDebian13() {
  if (process.getuid?.() !== 0)
    throw new SetupError(`${place} is made by root: run node scripts/setup.mjs --hosts as root.`, 77);
  if (findInPath("apt-get") === undefined)
    throw new SetupError("Patroni and etcd are taken from Debian 13 through apt-get, which is not here.", 69);
  mkdirSync(dirname(place), { recursive: true });
  const folder = mkdtempSync(`${place}.new.`);
  try {
    const apt = ["env", `APT_CONFIG=${writeAptConfiguration(folder)}`, "apt-get", "-q"];
    await runPhase("Reading Debian 13's package lists …", [...apt, "update"]);
    const names = packages.join(", ");
    await runPhase(`Taking ${names} from Debian 13 …`, [...apt, "download", ...packages], { cwd: folder });
    const tree = join(folder, "tree");
    mkdirSync(join(tree, "bin"), { recursive: true, mode: 0o755 });
    for (const file of readdirSync(folder).filter((name) => name.endsWith(".deb")))
      await runPhase(`Unpacking ${file} …`, ["dpkg-deb", "--extract", join(folder, file), tree]);
    writeStarter(tree, "patroni", [
      `PYTHONPATH=${keptPath}${place}/usr/lib/python3/dist-packages exec /usr/bin/python3 ${place}/usr/bin/patroni "$@"`,
    ]);
    writeStarter(tree, "etcd", [`exec ${place}/usr/bin/etcd "$@"`]);
    rmSync(place, { recursive: true, force: true });
    renameSync(tree, place);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {string} folder */
function writeAptConfiguration(folder) {
  const inside = (/** @type {string} */ name) => join(folder, name);
  mkdirSync(inside("lists/partial"), { recursive: true });
  mkdirSync(inside("archives/partial"), { recursive: true });
  writeFileSync(inside("status"), "");
  writeFileSync(
    inside("debian.sources"),
    `Types: deb\nURIs: http://deb.debian.org/debian\nSuites: trixie\nComponents: main\nSigned-By: ${debianKeyring}\n`,
  );
  const settings = {
    "Dir::State": folder,
    "Dir::State::status": inside("status"),
    "Dir::State::lists": inside("lists"),
    "Dir::Cache": folder,
    "Dir::Etc::SourceList": inside("debian.sources"),
    "Dir::Etc::SourceParts": "/dev/null",
    "Dir::Etc::Preferences": "/dev/null",
    "Dir::Etc::PreferencesParts": "/dev/null",
    "APT::Sandbox::User": "root", // Its own user may not write here.
    "Acquire::Languages": "none",
  };
  const file = inside("apt.conf");
  writeFileSync(
    file,
    Object.entries(settings)
      .map(([name, value]) => `${name} "${value}";\n`)
      .join(""),
  );
  return file;
}

/**
 * @param {string} tree
 * @param {string} name
 * @param {readonly string[]} lines
 */
function writeStarter(tree, name, lines) {
  writeFileSync(join(tree, "bin", name), ["#!/bin/sh", ...lines, ""].join("\n"), { mode: 0o755 });
}
