import { execa } from "execa";
import { randomInt } from "node:crypto";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

/** A folder for one measurement, removed afterwards. Its path is short, because those of Unix sockets are limited. */
export async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(realpathSync("/tmp"), "opb-"));
  chmodSync(folder, 0o755);
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Random ports below those that systems give to outgoing connections. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(10_241, 32_768);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

export interface Cluster {
  readonly stateDir: string;
  readonly ports: { readonly primary: number; readonly write: number; readonly page: number };
  /** Runs a command of odoo-pg on this cluster. @throws when it fails */
  run(...args: readonly string[]): Promise<string>;
}

/** A cluster with all defaults except its place and ports; stopped at the end when `use` started it. */
export async function withCluster<T>(program: string, use: (cluster: Cluster) => Promise<T>): Promise<T> {
  return await inFolder(async (folder) => {
    const [pg1 = 0, pg2 = 0, read = 0, write = 0, page = 0] = await freePorts(5);
    const stateDir = join(folder, "s");
    const configuration = join(folder, "odoo-pg.yaml");
    writeFileSync(
      configuration,
      `cluster: bench
state_dir: ${stateDir}
nodes: [{ name: pg1, port: ${pg1} }, { name: pg2, port: ${pg2} }]
endpoints: { read: { port: ${read} }, write: { port: ${write} } }
console: { port: ${page} }
`,
    );
    const run = async (...args: readonly string[]): Promise<string> =>
      (await execa(process.execPath, [program, ...args, "--config", configuration], { stdin: "ignore" }))
        .stdout;
    try {
      return await use({ stateDir, ports: { primary: pg1, write, page }, run });
    } finally {
      await run("down");
    }
  });
}

/** Configures a cluster of one node with a filestore and backups, all below a folder. */
export async function oneNode(folder: string) {
  const [port = 0, read = 0, write = 0] = await freePorts(3);
  const filestore = join(folder, "filestore");
  const backups = join(folder, "backups");
  mkdirSync(filestore, { recursive: true });
  const configuration = join(folder, "odoo-pg.yaml");
  writeFileSync(
    configuration,
    `cluster: bench
state_dir: ${folder}/s
nodes: [{ name: pg1, port: ${port} }]
endpoints: { read: { port: ${read} }, write: { port: ${write} } }
console: { enabled: false }
odoo: { filestore: ${filestore} }
backup: { enabled: false, dir: ${backups} }
`,
  );
  return { configuration, filestore, backups, port };
}

/** The user that servers run as: as root an unprivileged one. */
export async function serverUser(): Promise<{ readonly uid?: number; readonly gid?: number }> {
  if (process.getuid?.() !== 0) return {};
  const id = async (option: string): Promise<number> =>
    Number((await execa("id", [option, "postgres"])).stdout);
  return { uid: await id("-u"), gid: await id("-g") };
}

export function giveTo(folder: string, user: { readonly uid?: number; readonly gid?: number }): void {
  if (user.uid !== undefined && user.gid !== undefined) chownSync(folder, user.uid, user.gid);
}
