// Starts a cluster on free ports in a folder of its own; Enter or Ctrl-C stops it and removes everything.
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePorts } from "./free-ports.mjs";

const program = process.argv[2] ?? fileURLToPath(new URL("../dist/odoo-pg.mjs", import.meta.url));
// Short, because the path of a Unix socket is limited; open to the user that runs the servers.
const folder = mkdtempSync(join(realpathSync("/tmp"), "odoo-pg-"));
chmodSync(folder, 0o755);
const configuration = join(folder, "odoo-pg.yaml");
const [primary, replica, read, write, page] = await freePorts(5);
writeFileSync(
  configuration,
  `cluster: throwaway
state_dir: ${folder}/state
nodes:
  - { name: pg1, port: ${primary} }
  - { name: pg2, port: ${replica} }
endpoints:
  read: { port: ${read} }
  write: { port: ${write} }
console: { port: ${page} }
`,
);

// From here on Ctrl-C only ends the wait; the programs get it from the terminal themselves.
const asked = new Promise((resolve) => {
  process.on("SIGINT", resolve);
  process.on("SIGTERM", resolve);
  process.on("SIGHUP", resolve);
  process.stdin.once("data", resolve);
});

const started = (await odooPg("up")) === 0;
if (started) {
  const command = `node ${program} psql write --config ${configuration}`;
  console.log(
    `\nConnect:  ${command}\nAny other command takes the same --config. Enter or Ctrl-C removes the cluster.`,
  );
  // Without a terminal, nothing else keeps this process alive.
  const waiting = setInterval(() => {}, 2 ** 30);
  await asked;
  clearInterval(waiting);
} else {
  process.exitCode = 1;
}
process.stdin.destroy();
if ((await odooPg("down")) === 0 && (await odooPg("destroy", "--confirm", "throwaway")) === 0) {
  rmSync(folder, { recursive: true });
} else {
  console.error(`The cluster is left in ${folder}.`);
  process.exitCode = 1;
}

/**
 * @param {readonly string[]} args
 * @returns {Promise<number>} exit status; 128 when a signal ended it
 */
function odooPg(...args) {
  const child = spawn(process.execPath, [program, ...args, "--config", configuration], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  return new Promise((resolve) => {
    child.on("close", (status) => resolve(status ?? 128));
  });
}
