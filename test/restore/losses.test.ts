import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { windowSchema } from "../../src/cluster/backups/window.ts";
import { quoteSqlIdentifier as id } from "../../src/system/sql/sql.ts";
import { throwawayCluster, type ThrowawayCluster } from "../support/cluster.ts";
import { makeOdooDatabase, writeAttachment } from "../support/odoo-database.ts";
import type { Session } from "../support/pg.ts";
import { processesNaming } from "../support/processes.ts";
import { killAllUsing } from "../support/kill.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

// Three losses, each a real one, and the way back that docs/recovery.md describes. What comes back is compared row by row.

/** Written by Odoo's own database manager; where it is not there, a database of Odoo's shape is made. */
const SAMPLE = fileURLToPath(new URL("../../../shared/data/odoo19-sales.zip", import.meta.url));

let elsewhere: string;
let cluster: ThrowawayCluster;
let filestore: string;

const windowDocument = windowSchema.extend({
  version: z.literal(1),
  copies: z.array(z.unknown()),
  proven: z.unknown(),
});

/** Serves object storage, by `npm run test:azurite`; else the copies lie in a folder. */
const AZURITE = process.env["ODOO_PG_AZURITE"];

/** Of Azure's emulators, as Microsoft has made it public; restic knows its port (10000) by the account's name. */
const EMULATOR = {
  AZURE_ACCOUNT_NAME: "devstoreaccount1",
  AZURE_ACCOUNT_KEY:
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
};

function offsite(): Record<string, unknown> {
  const place =
    AZURITE === undefined
      ? { repository: join(elsewhere, "restic") }
      : { repository: "azure:odoo:/copies", environment_file: join(elsewhere, "environment") };
  return { name: "nas", ...place, passphrase_file: join(elsewhere, "passphrase"), schedule: "off" };
}

async function serveObjects(program: string): Promise<void> {
  const keys = Object.entries(EMULATOR).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(join(elsewhere, "environment"), keys.join(""), { mode: 0o600 });
  const at = ["--blobHost", "127.0.0.1", "--location", join(elsewhere, "objects")];
  const served = spawn(process.execPath, [program, "--disableTelemetry", "--silent", ...at], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(served, "exit");
  atEnd(async () => {
    served.kill();
    await ended;
  });
  await once(served.stdout, "data");
}

async function newHost(): Promise<{ cluster: ThrowawayCluster; filestore: string }> {
  const made = await throwawayCluster({
    nodes: 1,
    config: {
      backup: {
        schedule: "0 0 1 1 *",
        drill_schedule: "off",
        any_second: { enabled: true },
        offsite: [offsite()],
      },
    },
  });
  const folder = join(made.folder, "filestore");
  mkdirSync(folder, { mode: 0o755 });
  made.configure({
    odoo: { filestore: folder },
    nodes: [{ name: "pg1", port: made.ports.nodes[0], data_dir: join(made.folder, "disk", "pg1") }],
  });
  return { cluster: made, filestore: folder };
}

/** Every row of every table, and every attachment that a row names with what its file holds. */
async function everything(
  at: ThrowawayCluster,
  files: string,
  database: string,
): Promise<Record<string, string>> {
  const session = await at.onPrimary("postgres", database);
  const tables = await session.rows(
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1",
  );
  const found: Record<string, string> = {};
  for (const { relname } of tables) {
    const name = String(relname);
    const [row] = await session.rows(
      `SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') AS all FROM ${id(name)} t`,
    );
    found[name] = String(row?.["all"]);
  }
  const named = await session.rows(
    "SELECT DISTINCT store_fname FROM ir_attachment WHERE store_fname IS NOT NULL",
  );
  for (const { store_fname: name } of named) {
    const file = join(files, database, String(name));
    found[String(name)] = existsSync(file)
      ? createHash("sha1").update(readFileSync(file)).digest("hex")
      : "missing";
  }
  await session.close();
  return found;
}

/** The database's own time, after what was committed before and before what comes. */
async function secondOf(session: Session): Promise<string> {
  await session.rows("SELECT pg_sleep(0.01)");
  const [row] = await session.rows("SELECT clock_timestamp()::text AS now");
  await session.rows("SELECT pg_sleep(0.01)");
  return String(row?.["now"]);
}

async function allArchived(): Promise<void> {
  const session = await cluster.onPrimary();
  const [row] = await session.rows("SELECT pg_walfile_name(pg_switch_wal()) AS segment");
  await waitFor("the WAL to be archived", async () => {
    const [archiver] = await session.rows("SELECT last_archived_wal AS last FROM pg_stat_archiver");
    return String(archiver?.["last"]) >= String(row?.["segment"]);
  });
  await session.close();
}

async function attach(content: string): Promise<string> {
  const name = writeAttachment(join(filestore, "shop"), content);
  const session = await cluster.onPrimary("postgres", "shop");
  await session.rows(
    `INSERT INTO ir_attachment (name, type, store_fname) VALUES ('attached', 'binary', '${name}')`,
  );
  await session.close();
  await waitFor("the pool to have it", () =>
    existsSync(join(`${cluster.stateDir}.backups`, "filestore", name)),
  );
  return name;
}

beforeAll(async () => {
  elsewhere = temporaryFolder();
  writeFileSync(join(elsewhere, "passphrase"), "correct horse battery staple\n", { mode: 0o600 });
  if (AZURITE !== undefined) await serveObjects(AZURITE);
  ({ cluster, filestore } = await newHost());
  await cluster.up();
  if (existsSync(SAMPLE)) {
    const ran = await cluster.run(["restore", SAMPLE, "--as", "shop"]);
    expect(ran.stderr + ran.stdout).toContain("compared and complete");
  } else await makeOdooDatabase({ superuser: cluster.superuser(), database: "shop", filestore });
  await waitFor("the window to begin", async () => {
    const { from } = windowDocument.parse(await cluster.json(["backup", "window"]));
    return from !== null && Date.parse(from) < Date.now();
  });
});

describe("what docs/recovery.md promises", () => {
  test("a wrong click: the database comes back in its place as it was a second before", async () => {
    await attach("of the good days");
    const before = await everything(cluster, filestore, "shop");
    const session = await cluster.onPrimary("postgres", "shop");
    const at = await secondOf(session);
    await session.rows("UPDATE res_partner SET name = 'imported wrongly'");
    await session.rows("DELETE FROM ir_attachment WHERE name = 'attached'");
    await session.close();
    const ran = await cluster.run(
      ["restore", "shop", "--at", at, "--replace", "shop", "--confirm", "shop"].concat(
        "--require-attachments",
      ),
    );
    expect(ran.stderr + ran.stdout).toContain("compared and complete");
    expect(await everything(cluster, filestore, "shop")).toEqual(before);
  });

  test("a broken disk: the cluster comes back from the repository, to its last commit that was archived", async () => {
    await attach("on the disk that breaks");
    const before = await everything(cluster, filestore, "shop");
    await allArchived();
    const disk = join(cluster.folder, "disk");
    // Gone at once: the agent starts again what still has its files.
    renameSync(disk, `${disk}.broken`);
    await killAllUsing(disk, cluster.agent());
    rmSync(`${disk}.broken`, { recursive: true, force: true });
    const busy = await cluster.run(["restore", "--cluster-as", join(disk, "pg1")]);
    expect([busy.exitCode, busy.stderr]).toEqual([75, expect.stringContaining("odoo-pg down")]);
    await cluster.down();
    const ran = await cluster.run(["restore", "--cluster-as", join(disk, "pg1")]);
    expect(ran.stderr + ran.stdout).toContain("It is shut down. Start it: ");
    await cluster.up();
    expect(await everything(cluster, filestore, "shop")).toEqual(before);
    expect(readdirSync(disk)).toEqual(["pg1"]);
    await cluster.healthy();
  });

  test("a lost host: address and passphrase make another one, with every second from before", async () => {
    expect((await cluster.run(["backup", "copy"])).exitCode).toBe(0);
    const early = await cluster.onPrimary("postgres", "shop");
    const at = await secondOf(early);
    const then = await everything(cluster, filestore, "shop");
    await early.rows("UPDATE res_partner SET name = 'later'");
    await early.close();
    await attach("on the host that is lost");
    const before = await everything(cluster, filestore, "shop");
    await allArchived();
    // What the servers' user puts into the place of its own files is kept in no copy.
    if (process.getuid?.() === 0) {
      const foreign = join(`${cluster.stateDir}.archive`, "archive", "of-root");
      writeFileSync(foreign, "a secret of root");
      const refused = await cluster.run(["backup", "copy", "--to", "nas"]);
      expect([refused.exitCode, refused.stderr]).toEqual([1, expect.stringContaining(foreign)]);
      rmSync(foreign);
    }
    const copied = await cluster.run(["backup", "copy", "--to", "nas"]);
    expect([copied.exitCode, copied.stdout]).toEqual([0, expect.stringContaining("Copied to nas")]);
    const password = cluster.password("odoo");
    await killAllUsing(cluster.folder);
    rmSync(cluster.folder, { recursive: true, force: true });

    const other = await newHost();
    const fetched = await other.cluster.run(["backup", "fetch", "--from", "nas"]);
    expect([fetched.exitCode, fetched.stdout + fetched.stderr]).toEqual([
      0,
      expect.stringContaining("Fetched the cluster as of"),
    ]);
    await other.cluster.up();
    expect(await everything(other.cluster, other.filestore, "shop")).toEqual(before);
    // Odoo's password is the one that stands in its odoo.conf.
    expect(other.cluster.password("odoo")).toBe(password);
    const asOdoo = await other.cluster.session("write", "odoo", "shop");
    await asOdoo.close();

    const ran = await other.cluster.run(["restore", "shop", "--at", at, "--as", "shop_then"]);
    expect(ran.stderr + ran.stdout).toContain("compared and complete");
    expect(await everything(other.cluster, other.filestore, "shop_then")).toEqual(then);
    await waitFor("its base backup to be made", () => processesNaming("scheduled-backup").length === 0);
    const again = await other.cluster.run(["backup", "fetch", "--from", "nas"]);
    expect(again.stderr).toContain("There is a cluster already");
  });
});
