// Builds odoo-pg_VERSION_all.deb in dist/: node scripts/deb.mjs. Needs dpkg-deb, which every Debian has. The package
// has the program, its completion for bash, its manual page made from the commands' own help, and a unit for systemd.
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { packagedUnit } from "./packaged-unit.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const { version, description } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
const program = path.join(root, "dist", "odoo-pg.mjs");
execFileSync(process.execPath, [path.join(root, "scripts", "build.mjs")], { stdio: "inherit" });

const tree = mkdtempSync(path.join(os.tmpdir(), "odoo-pg-deb-"));
chmodSync(tree, 0o755);
const folder = (name) => {
  mkdirSync(path.join(tree, name), { recursive: true, mode: 0o755 });
  return path.join(tree, name);
};
const ask = (...args) =>
  execFileSync(process.execPath, [program, ...args], {
    encoding: "utf8",
    env: { PATH: process.env.PATH, HOME: tree, NO_COLOR: "1" },
    cwd: tree,
  });

try {
  const lib = folder("usr/lib/odoo-pg");
  for (const name of ["odoo-pg.mjs", "odoo-pg.cache", "THIRD_PARTY_LICENSES"])
    cpSync(path.join(root, "dist", name), path.join(lib, name));
  symlinkSync("../lib/odoo-pg/odoo-pg.mjs", path.join(folder("usr/bin"), "odoo-pg"));
  writeFileSync(
    path.join(folder("usr/share/bash-completion/completions"), "odoo-pg"),
    ask("completion", "bash"),
  );
  writeFileSync(
    path.join(folder("usr/share/man/man1"), "odoo-pg.1.gz"),
    gzipSync(manualPage(), { level: 9 }),
  );
  writeFileSync(path.join(folder("usr/lib/systemd/system"), "odoo-pg.service"), packagedUnit(ask("systemd")));
  const docs = folder("usr/share/doc/odoo-pg");
  cpSync(path.join(root, "docs"), path.join(docs, "docs"), { recursive: true });
  cpSync(path.join(root, "LICENSE"), path.join(docs, "copyright"));
  cpSync(path.join(root, "odoo-pg.example.yaml"), path.join(docs, "odoo-pg.example.yaml"));
  writeFileSync(
    path.join(docs, "changelog.gz"),
    gzipSync(readFileSync(path.join(root, "CHANGELOG.md")), { level: 9 }),
  );
  writeFileSync(path.join(folder("DEBIAN"), "control"), control());
  const out = path.join(root, "dist", `odoo-pg_${version}_all.deb`);
  execFileSync("dpkg-deb", ["--root-owner-group", "-Zxz", "--build", tree, out], { stdio: "inherit" });
} finally {
  rmSync(tree, { recursive: true, force: true });
}

/**
 * No script runs at installation, upgrade or removal: servers keep running, and the state directory is the operator's
 * alone. Debian 12's nodejs is too old, so a newer one must be installed first.
 */
function control() {
  return `Package: odoo-pg
Version: ${version}
Architecture: all
Section: database
Priority: optional
Maintainer: odoo-pg <odoo-pg@localhost>
Depends: nodejs (>= 20.19), postgresql (>= 13), haproxy (>= 2.4), openssl
Suggests: pgbouncer (>= 1.18)
Description: ${description.split(":")[0]}
 A primary, streaming replicas, one address for writes and one for fresh
 reads, backups that are proven by restoring them, and one command that says
 whether all is well.
`;
}

/** Troff of each command's help: the same text as the program prints. */
function manualPage() {
  const names = [...ask("--help").matchAll(/^ {2}([a-z][a-z-]*)(?:\||\s)/gm)].map(([, name]) => name);
  const commands = [...new Set(names)].filter((name) => name !== "help" && name !== "odoo-pg");
  const text = (words) =>
    words
      .replaceAll("\\", "\\e")
      .replaceAll("-", "\\-")
      .replaceAll(/^([.'])/gm, "\\&$1");
  const verbatim = (words) => `.nf\n${text(words.trimEnd())}\n.fi\n`;
  const sections = commands.map((name) => `.SS ${text(name)}\n${verbatim(ask(name, "--help"))}`);
  return `.TH ODOO\\-PG 1 "" "odoo\\-pg ${text(version)}"
.SH NAME
odoo\\-pg \\- ${text(description)}
.SH SYNOPSIS
${verbatim(ask("--help"))}.SH COMMANDS
${sections.join("")}.SH FILES
.TP
/etc/odoo\\-pg/odoo\\-pg.yaml
configuration of the service, optional
.TP
/var/lib/odoo\\-pg
data, secrets and logs; removal of the package leaves them
.SH SEE ALSO
/usr/share/doc/odoo\\-pg/docs
`;
}
