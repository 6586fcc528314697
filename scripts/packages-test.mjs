// Tries the Debian package and the tarball of npm on clean systems: npm run test:packages [-- trixie bookworm npm].
// Needs root, debootstrap and a Debian mirror: each Debian is built from its packages, in a namespace of its own. Where
// that is impossible, it says so and tries nothing.
import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { findInPath } from "./setup/missing-programs.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const words = process.argv.slice(2);
const wanted = (name) => words.length === 0 || words.includes(name);
/** Trees that debootstrap made, packed: made once. */
const cache = "/var/cache/odoo-pg";
const folder = mkdtempSync(path.join(os.tmpdir(), "odoo-pg-packages-"));
chmodSync(folder, 0o755);
/** Turns the tree into a running system for the duration of a script. */
const IN_TREE = `mount --make-rprivate / && mount -t proc proc "$1/proc" && mount -t tmpfs tmpfs "$1/dev/shm" 2>/dev/null || true
mount --rbind /dev "$1/dev"
exec chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive bash /root/on-debian.sh "$2"`;
let passed = 0;
let failed = 0;

try {
  execFileSync(process.execPath, ["scripts/deb.mjs"], { cwd: root, stdio: "inherit" });
  if (wanted("npm"))
    await attempt("npm install -g of the tarball, as an ordinary user would, and away again", npmInstall);
  for (const suite of ["bookworm", "trixie"]) {
    if (!wanted(suite)) continue;
    const reason = whyNot();
    if (reason === undefined)
      await attempt(`${suite}: installed, started, upgraded, removed; data and servers stay`, () =>
        debian(suite),
      );
    else console.log(`skipped ${suite}: ${reason}`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

async function attempt(name, act) {
  const began = Date.now();
  try {
    await act();
    passed += 1;
    console.log(`ok      ${name} (${Math.round((Date.now() - began) / 1000)} s)`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error instanceof Error ? error.message : String(error)}`);
  }
}

function whyNot() {
  if (process.getuid?.() !== 0) return "only root can make a Debian";
  if (findInPath("debootstrap") === undefined)
    return "there is no debootstrap (on Debian: apt-get install debootstrap)";
  return undefined;
}

/** The tarball needs nothing from the clone, and includes its documents. */
async function npmInstall() {
  const packed = path.join(folder, "packed");
  mkdirSync(packed);
  execFileSync("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", packed], { cwd: root });
  const [tarball = ""] = readdirSync(packed);
  const prefix = path.join(folder, "npm");
  const home = path.join(folder, "home");
  mkdirSync(home);
  const npm = (...args) =>
    execFileSync("npm", [...args, "--global", "--prefix", prefix, "--no-audit", "--no-fund"], {
      cwd: home,
      env: { PATH: process.env.PATH, HOME: home },
      encoding: "utf8",
    });
  npm("install", path.join(packed, tarball));
  const program = path.join(prefix, "bin", "odoo-pg");
  const version = execFileSync(program, ["--version"], { cwd: home, encoding: "utf8" }).trim();
  const { version: own } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
  if (version !== own) throw new Error(`it is version ${version}, not ${own}`);
  const help = execFileSync(program, ["status", "--help"], { cwd: home, encoding: "utf8" });
  if (!help.includes("odoo-pg status --watch")) throw new Error(`its help is not there:\n${help}`);
  if (!existsSync(path.join(prefix, "lib/node_modules/odoo-pg/docs/operations.md")))
    throw new Error("its documents are not there");
  if (existsSync(path.join(prefix, "lib/node_modules/odoo-pg/node_modules")))
    throw new Error("it brought packages of others");
  npm("uninstall", "odoo-pg");
  if (existsSync(program)) throw new Error("it is still there after npm uninstall");
}

/** @param {string} suite */
async function debian(suite) {
  const tree = path.join(folder, suite);
  await cleanTree(suite, tree);
  const inside = path.join(tree, "root");
  const [deb = ""] = readdirSync(path.join(root, "dist")).filter((name) => name.endsWith("_all.deb"));
  copyFileSync(path.join(root, "dist", deb), path.join(inside, "odoo-pg.deb"));
  packNode(path.join(inside, "nodejs.deb"));
  copyFileSync(path.join(root, "test/packages/on-debian.sh"), path.join(inside, "on-debian.sh"));
  copyFileSync("/etc/resolv.conf", path.join(tree, "etc/resolv.conf"));
  // An installation starts nothing: there is no init here.
  writeFileSync(path.join(tree, "usr/sbin/policy-rc.d"), "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  // The namespace ends with its first process, and so does everything that runs in it.
  await shown("unshare", [
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "bash",
    "-ec",
    IN_TREE,
    "sh",
    tree,
    suite,
  ]);
}

/** A tree as debootstrap makes it: unpacked from an earlier one, where there is one. */
async function cleanTree(suite, tree) {
  const archive = path.join(cache, `debian-${suite}.tar`);
  if (!existsSync(archive)) {
    mkdirSync(cache, { recursive: true });
    const made = path.join(folder, `${suite}.made`);
    await shown("debootstrap", [
      "--variant=minbase",
      "--include=ca-certificates",
      suite,
      made,
      "http://deb.debian.org/debian",
    ]);
    await shown("tar", ["-C", made, "-cf", `${archive}.new`, "."]);
    await shown("mv", [`${archive}.new`, archive]);
    rmSync(made, { recursive: true, force: true });
  }
  mkdirSync(tree);
  await shown("tar", ["-C", tree, "-xpf", archive]);
}

/** This machine's Node.js as a package: a stand-in for that of nodejs.org, which Debian 12 needs. */
function packNode(file) {
  const made = path.join(folder, "node-package");
  if (!existsSync(made)) {
    mkdirSync(path.join(made, "usr/bin"), { recursive: true });
    mkdirSync(path.join(made, "DEBIAN"));
    cpSync(process.execPath, path.join(made, "usr/bin/node"), { dereference: true });
    writeFileSync(
      path.join(made, "DEBIAN/control"),
      `Package: nodejs\nVersion: ${process.versions.node}\nArchitecture: ${execFileSync("dpkg", ["--print-architecture"], { encoding: "utf8" }).trim()}\nMaintainer: test <test@localhost>\nDepends: libstdc++6\nDescription: Node.js of the machine that tests\n`,
    );
  }
  execFileSync("dpkg-deb", ["--root-owner-group", "-Znone", "--build", made, file], { stdio: "ignore" });
}

/** Runs a program, its output kept for the message of a failure. */
async function shown(program, args) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const status = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  if (status !== 0) throw new Error(`${program} ended with ${status}:\n${output.slice(-4000)}`);
}
