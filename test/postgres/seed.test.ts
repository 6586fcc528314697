import { readdirSync, existsSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { lagOf, type ServerFacts } from "../../src/model/observation.ts";
import { inspectDataDirectory } from "../../src/postgres/data-directory.ts";
import { observeServer } from "../../src/postgres/sql/observing/facts.ts";
import {
  dropSlot,
  ensureSlot,
  listSlots,
  releaseSlot,
  standbysFlushed,
  writeMark,
} from "../../src/postgres/sql/operations.ts";
import { move } from "../../src/system/files/files.ts";
import { ensureRoles } from "../../src/odoo/roles.ts";
import { seedDataDirectory } from "../../src/postgres/seed.ts";
import type { Session } from "../../src/system/sql/sql.ts";
import { processesNaming } from "../support/processes.ts";
import { atEnd } from "../support/scope.ts";
import { waitFor } from "../support/wait.ts";
import { seedOptions, type ThrowawayNode, throwawayNodes } from "./throwaway-node.ts";

let primary: ThrowawayNode;
let replica: ThrowawayNode;
let session: Session;

beforeAll(async () => {
  const [first, second] = await throwawayNodes(2);
  if (first === undefined || second === undefined) throw new Error("no nodes");
  [primary, replica] = [first, second];
});

/** What lies beside a data directory: attempts that were not finished. */
function attempts({ files }: ThrowawayNode): readonly string[] {
  const prefix = basename(files.newDataPrefix);
  return readdirSync(dirname(files.newDataPrefix)).filter((name) => name.startsWith(prefix));
}

/** Kills a program that works in the folder of a node, as soon as it is there. */
async function killProgram(node: ThrowawayNode, program: string): Promise<void> {
  let pid = 0;
  await waitFor(`${program} runs`, () => {
    pid =
      processesNaming(node.files.newDataPrefix).find(({ command }) => command.includes(`${program} -D`))
        ?.pid ?? 0;
    return pid > 0;
  });
  process.kill(pid, "SIGKILL");
}

async function kindOfData(node: ThrowawayNode): Promise<string> {
  return (await inspectDataDirectory(node.files.dataDir, node.installation, node.owner)).kind;
}

test("an initdb that is killed leaves nothing that could start, and the next one succeeds", async () => {
  const interrupted = expect(primary.initialise()).rejects.toMatchObject({ code: "command_failed" });
  await killProgram(primary, "initdb");
  await interrupted;
  expect(await kindOfData(primary)).toBe("absent");

  await primary.initialise();

  expect(await kindOfData(primary)).toBe("whole");
  expect(attempts(primary)).toEqual([]);
  await primary.start();
  session = await primary.session();
  await ensureRoles(session, "odoo", primary.passwords);
});

test("a new cluster has checksums, UTF8, C collation, and no way in but SCRAM and, on the socket, who one is", async () => {
  session = await primary.session();
  const [row] = await session.query(
    `SELECT current_setting('data_checksums') AS checksums, current_setting('password_encryption') AS passwords,
       (SELECT string_agg(DISTINCT concat_ws(' ', pg_encoding_to_char(encoding), datcollate, datctype), ',') FROM pg_database) AS locale,
       (SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules) AS methods`,
  );
  expect(row).toEqual({
    checksums: "on",
    passwords: "scram-sha-256",
    locale: "UTF8 C C",
    methods: "peer,reject,scram-sha-256",
  });
});

test("a base backup that is killed leaves nothing that could start, and the next one succeeds", async () => {
  session = await primary.session();
  await ensureSlot(session, "pg2");
  const interrupted = expect(seedDataDirectory(seedOptions(replica, primary))).rejects.toMatchObject({
    code: "command_failed",
  });
  // Its helper, which streams the WAL, is its child and lives on by itself.
  let copying: readonly number[] = [];
  await waitFor("the copy to be begun", () => {
    copying = processesNaming(replica.files.newDataPrefix).map(({ pid }) => pid);
    return attempts(replica).length === 1 && copying.length > 0;
  });
  process.kill(Math.min(...copying), "SIGKILL");
  await interrupted;
  expect(await kindOfData(replica)).toBe("absent");
  expect(attempts(replica)).toHaveLength(1);

  await releaseSlot(session, "pg2");
  await session.query("ALTER SYSTEM SET external_pid_file = '/nonexistent/pg1.pid'");
  await session.query("ALTER SYSTEM SET work_mem = '17MB'");
  const told: (readonly [number, number])[] = [];
  const copy = await seedDataDirectory({
    ...seedOptions(replica, primary),
    onProgress: (done, total) => told.push([done, total]),
  });
  expect(await kindOfData(replica)).toBe("absent");
  await move(copy, replica.files.dataDir);
  // The copy has what ALTER SYSTEM set for all, and not what is the other node's own.
  const altered = readFileSync(join(replica.files.dataDir, "postgresql.auto.conf"), "utf8");
  expect(altered).toContain("work_mem = '17MB'");
  expect(altered).not.toContain("external_pid_file");
  await session.query("ALTER SYSTEM RESET ALL");

  expect(
    await inspectDataDirectory(replica.files.dataDir, replica.installation, replica.owner),
  ).toMatchObject({
    kind: "whole",
    standby: true,
  });
  expect(attempts(replica)).toEqual([]);
  expect(told.at(-1)?.[0]).toBe(told.at(-1)?.[1]);
});

test("a seeded replica streams through its slot by the Unix socket, and both sides tell so", async () => {
  session = await primary.session();
  await replica.start();
  const onReplica = await replica.session();
  const look = async (): Promise<[ServerFacts, ServerFacts]> => [
    await observeServer(session),
    await observeServer(onReplica),
  ];
  await waitFor("the replica streams", async () => (await look())[1].receiver_status === "streaming");
  const mark = await writeMark(session);
  await waitFor("the replica has all", async () => await standbysFlushed(session, ["pg2"], mark));
  await waitFor("the replica has replayed all", async () => {
    const [ahead, behind] = await look();
    return lagOf(behind, ahead).bytes === 0;
  });
  const [ahead, behind] = await look();
  expect(await standbysFlushed(session, ["pg2", "pg3"], mark)).toBe(false);
  expect(ahead).toMatchObject({ in_recovery: false, timeline: 1, receiver_status: null, replay_lsn: null });
  expect(ahead.standbys).toMatchObject([
    { application_name: "pg2", state: "streaming", sync_state: "async" },
  ]);
  expect(ahead.slots).toMatchObject([{ slot_name: "pg2", active: true, wal_status: "reserved" }]);
  expect(behind).toMatchObject({
    in_recovery: true,
    timeline: 1,
    current_lsn: null,
    replay_paused: false,
    system_identifier: ahead.system_identifier,
  });
  expect(lagOf(behind, ahead)).toEqual({ bytes: 0, seconds: 0 });
  expect(await session.query("SELECT client_addr FROM pg_stat_replication")).toEqual([{ client_addr: null }]);
});

test("a slot in use is released, dropped, and made again", async () => {
  session = await primary.session();
  atEnd(replica.stop);
  await dropSlot(session, "pg2");
  expect(await listSlots(session)).toEqual([]);
  await dropSlot(session, "pg2");
  await ensureSlot(session, "pg2");
  await ensureSlot(session, "pg2");
  expect(await listSlots(session)).toEqual(["pg2"]);
  const [row] = await session.query("SELECT restart_lsn IS NOT NULL AS keeps FROM pg_replication_slots");
  expect(row).toEqual({ keeps: true });
});

test("a base backup that is told to stop stops, and leaves no data directory", async () => {
  const [, fresh] = await throwawayNodes(2);
  if (fresh === undefined) throw new Error("no node");
  const abort = new AbortController();
  await expect(
    seedDataDirectory({
      ...seedOptions(fresh, primary),
      layout: replica.layout,
      slot: "pg2",
      signal: abort.signal,
      onProgress: () => abort.abort(),
    }),
  ).rejects.toMatchObject({ code: "interrupted" });
  expect(existsSync(fresh.files.dataDir)).toBe(false);
});
