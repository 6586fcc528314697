// Which folder of src/ may import which: node scripts/layers.mjs. Part of `npm run lint`. A folder depends on those
// that its line names, types included, and on nothing else. The lines go from the ground up, and each names only lines
// above it: so there is no cycle. And no folder has more files than a reader takes in at a look.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Files beside the folders that everything may import: errors, how progress is reported, how names and messages are
 * shown.
 */
const GROUND = [
  "errors.ts",
  "progress.ts",
  "printable.ts",
  "next-step.ts",
  "next-step-schema.ts",
  "shell-word.ts",
  "wrap.ts",
];

/** The foundation of the long-running processes. */
const RUNNING = "system model config cluster postgres odoo store endpoints members services".split(" ");

const LAYERS = {
  // The outside world: processes, files, network, SQL sessions, clock. Knows nothing of clusters.
  system: [],
  // Words of the trade as types and schemas: observation, LSN, warnings, alarm rules, reports of backups.
  model: [],
  // The configuration: schema, sources, validation; names and places that follow from it.
  config: ["model"],
  // Decides without side effects: read pool, start, change of the primary, status, diagnosis; the documents that
  // result.
  cluster: ["model", "config"],
  // PostgreSQL: its programs, files, settings; sql/ are the statements.
  postgres: ["system", "model", "config"],
  // Odoo's part: roles, template, filestore, sessions, odoo.conf.
  odoo: ["system", "model", "config", "postgres"],
  // The state directory: state, secrets, lock, records.
  store: ["system", "model", "config", "postgres", "odoo"],
  // Base backups and WAL, by pgBackRest: any second of a window.
  archive: ["system", "model", "config", "cluster", "postgres", "store"],
  // HAProxy.
  endpoints: ["system", "model", "config"],
  // The nodes as the agent knows them, and how each is observed.
  members: ["system", "model", "config", "cluster", "postgres", "odoo", "store"],
  // Running services: servers and HAProxy are configured, started, watched; the read pool.
  services: ["system", "model", "config", "cluster", "postgres", "endpoints", "members"],
  // Who is primary: switchover, promote, rejoin, reseed.
  failover: ["system", "model", "config", "cluster", "postgres", "odoo", "members", "services"],
  // Data for status and console: newest observations, samples, disks.
  observe: ["system", "model", "config", "cluster", "postgres", "store", "archive", "members"],
  // Backups: making, listing, checking, pruning.
  backup: ["system", "model", "config", "cluster", "postgres", "odoo", "store"],
  // Restoring, copying, comparing.
  restore: ["system", "model", "config", "postgres", "odoo", "store", "archive", "backup"],
  // Copies elsewhere, by restic, and the way back from there.
  offsite: ["system", "model", "config", "postgres", "odoo", "store", "archive", "backup", "restore"],
  // Runs of backups and drills, recorded, with hooks.
  runs: ["system", "model", "config", "cluster", "odoo", "store", "backup", "restore"],
  events: ["system", "model"],
  alarms: ["system", "model", "config", "cluster", "postgres", "members", "events"],
  metrics: ["system", "model", "config", "cluster", "postgres", "odoo", "members", "observe"],
  // doctor and tune.
  advice: ["system", "model", "config", "cluster", "postgres", "odoo", "store", "observe", "backup"],
  // The page, its server and its access.
  console: [
    "system",
    "model",
    "config",
    "cluster",
    "postgres",
    "odoo",
    "store",
    "members",
    "observe",
    "backup",
    "events",
  ],
  // The long-running process and its use cases: up, down, operations.
  agent: [...RUNNING, "archive", "failover", "observe", "events", "alarms", "metrics", "console"],
  // The store that decides where there are several hosts: etcd, and who votes in it.
  consensus: ["system"],
  // Several hosts: their membership, the configuration of Patroni and etcd, the agent that goes with them.
  hosts: [
    ...RUNNING,
    "archive",
    "failover",
    "backup",
    "observe",
    "alarms",
    "metrics",
    "console",
    "agent",
    "consensus",
  ],
  // The image: the contract of its variables, adoption, first launch.
  container: [...RUNNING.filter((name) => name !== "store"), "agent"],
};
// Reads arguments, calls use cases, prints.
LAYERS.cli = Object.keys(LAYERS);

/** Files that one folder may have, folders in it not counted. */
const MOST_FILES = 20;

const src = fileURLToPath(new URL("../src", import.meta.url));

/** @returns {string[]} violations of the table, a line each */
export function brokenLayers() {
  const names = Object.keys(LAYERS);
  const upward = names.flatMap((name, index) =>
    LAYERS[name]
      .filter((below) => names.indexOf(below) >= index || !names.includes(below))
      .map((below) => `the table: ${name} names ${below}, which does not stand above it`),
  );
  const used = new Map(names.map((name) => [name, new Set()]));
  const broken = sources().flatMap((file) => {
    const own = folderOf(file);
    if (own !== undefined && !names.includes(own)) return [`${file}: its folder has no line in the table`];
    return importsOf(file).flatMap((imported) => {
      const other = folderOf(imported);
      if (own === undefined)
        return GROUND.includes(file) && other !== undefined ? [`${file} imports ${imported}`] : [];
      if (other === undefined) return GROUND.includes(imported) ? [] : [`${file} imports ${imported}`];
      if (other === own) return [];
      used.get(own)?.add(other);
      return LAYERS[own].includes(other)
        ? []
        : [`${file} imports ${imported}: ${own} may not import ${other}`];
    });
  });
  const idle = names
    .filter((name) => name !== "cli")
    .flatMap((name) =>
      LAYERS[name]
        .filter((below) => !used.get(name)?.has(below))
        .map((below) => `the table: ${name} imports no ${below}`),
    );
  return [...upward, ...broken, ...idle, ...crowded()];
}

function crowded() {
  const counted = new Map();
  for (const file of sources()) {
    const folder = path.posix.dirname(file);
    counted.set(folder, (counted.get(folder) ?? 0) + 1);
  }
  return [...counted]
    .filter(([, count]) => count > MOST_FILES)
    .map(
      ([folder, count]) =>
        `src/${folder} has ${count} files, more than ${MOST_FILES}: what belongs together gets a folder of its own`,
    );
}

function sources() {
  return readdirSync(src, { recursive: true, encoding: "utf8" })
    .map((file) => file.split(path.sep).join("/"))
    .filter((file) => /\.tsx?$/.test(file))
    .toSorted();
}

function importsOf(file) {
  const text = readFileSync(path.join(src, file), "utf8");
  return [...text.matchAll(/(?:\bfrom\s+|\bimport\s+|\bimport\(\s*)"(\.{1,2}\/[^"]+)"/g)].map(
    ([, specifier]) => path.posix.join(path.posix.dirname(file), specifier),
  );
}

function folderOf(file) {
  return file.includes("/") ? file.slice(0, file.indexOf("/")) : undefined;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const broken = brokenLayers();
  for (const line of broken) console.error(line);
  process.exitCode = broken.length === 0 ? 0 : 1;
}
