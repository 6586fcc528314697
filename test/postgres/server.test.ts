import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import {
  findPostmaster,
  lastWords,
  reloadServer,
  startServer,
  stopServer,
} from "../../src/postgres/server.ts";
import { removeFile } from "../../src/system/files/files.ts";
import { isAlive, processState } from "../../src/system/process/process.ts";
import { withSession } from "../support/with-session.ts";
import { atEnd } from "../support/scope.ts";
import { waitFor } from "../support/wait.ts";
import { type ThrowawayNode, throwawayNodes } from "./throwaway-node.ts";

let node: ThrowawayNode;
let other: ThrowawayNode;
let pidFile: string;

beforeAll(async () => {
  const [first, second] = await throwawayNodes(2);
  if (first === undefined || second === undefined) throw new Error("no nodes");
  [node, other] = [first, second];
  pidFile = join(node.files.dataDir, "postmaster.pid");
  await Promise.all([node.initialise(), other.initialise()]);
});

beforeEach(async () => {
  // Nothing of an earlier test: its server, its log.
  for (const file of [node.files.startLog, join(node.files.logDir, logName())]) await removeFile(file);
});

afterEach(async () => {
  await Promise.all([node.stop(), other.stop()]);
});

function logName(): string {
  const day = new Intl.DateTimeFormat("en", { weekday: "short", timeZone: "UTC" }).format(new Date());
  return `postgresql-${day}.log`;
}

async function answers(): Promise<unknown> {
  return await withSession(
    node.superuser,
    async (session) => (await session.query("SELECT 1 AS one"))[0]?.["one"],
  );
}

/** A living process of the servers' user that is no server. */
async function foreignProcess(): Promise<number> {
  const child = spawn("sleep", ["60"], { stdio: "ignore", ...node.owner });
  await once(child, "spawn");
  atEnd(async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  if (child.pid === undefined) throw new Error("no process");
  return child.pid;
}

test("a server that was started answers, and is found by its data directory", async () => {
  expect(await findPostmaster(node.files.dataDir)).toBeUndefined();
  const started = await node.start();
  expect(started).toEqual({ pid: expect.any(Number), status: "ready", port: node.node.port });
  expect(await findPostmaster(node.files.dataDir)).toEqual(started);
  expect(await answers()).toBe(1);
});

test("a server that runs already is adopted, not started again", async () => {
  const started = await node.start();
  expect(await node.start()).toEqual(started);
});

test("two starts at once end with one server that answers", async () => {
  const results = await Promise.allSettled([node.start(), node.start()]);
  const running = await findPostmaster(node.files.dataDir);
  expect(running?.status).toBe("ready");
  expect(results.some((result) => result.status === "fulfilled")).toBe(true);
});

test("a start in the middle of a stop brings the server up again after its end", async () => {
  const first = await node.start();
  const session = await node.session();
  const [row] = await session.query("SELECT pg_backend_pid() AS pid");
  const backend = Number(row?.["pid"]);
  // A session that stands still holds up the end.
  process.kill(backend, "SIGSTOP");
  process.kill(first.pid, "SIGINT");
  await waitFor(
    "the stop is begun",
    async () => (await findPostmaster(node.files.dataDir))?.status === "stopping",
  );
  const start = node.start();
  process.kill(backend, "SIGCONT");
  const second = await start;
  expect(second.status).toBe("ready");
  expect(second.pid).not.toBe(first.pid);
  expect(await answers()).toBe(1);
});

test("a start that is given up leaves no server behind", async () => {
  const { installation, files, owner } = node;
  const given = new AbortController();
  const start = startServer({ installation, files, owner, node: "pg1", signal: given.signal });
  given.abort();
  await expect(start).rejects.toMatchObject({ name: "AbortError" });
  expect(await findPostmaster(files.dataDir)).toBeUndefined();
});

test("a fast stop ends the server although a session is open, and leaves nothing to recover", async () => {
  const { pid } = await node.start();
  await node.session();
  await stopServer(node.files.dataDir, "pg1", "fast");
  expect(isAlive(pid)).toBe(false);
  expect(await findPostmaster(node.files.dataDir)).toBeUndefined();
  expect(readFileSync(join(node.files.logDir, logName()), "utf8")).toContain("database system is shut down");
});

test("to stop what does not run is no error", async () => {
  await stopServer(node.files.dataDir, "pg1", "fast");
  await stopServer("/nowhere", "pg1", "fast");
});

test("a server that was stopped by SIGSTOP still takes a stop", async () => {
  const { pid } = await node.start();
  process.kill(pid, "SIGSTOP");
  await waitFor("the server stands still", () => processState(pid) === "T");
  await stopServer(node.files.dataDir, "pg1", "fast", 20_000);
  expect(isAlive(pid)).toBe(false);
});

test("a stop that takes longer than its limit says so and kills nothing", async () => {
  const { pid } = await node.start();
  await expect(stopServer(node.files.dataDir, "pg1", "fast", 0)).rejects.toMatchObject({
    code: "timed_out",
    safe: expect.stringContaining("Nothing is lost"),
  });
  await waitFor("the server ends by itself", () => !isAlive(pid));
});

test("after kill -9 of the postmaster a new one starts with the data of the old", async () => {
  const { pid } = await node.start();
  const busy = await node.session();
  await busy.query("CREATE TABLE IF NOT EXISTS kept (id int); INSERT INTO kept VALUES (1)");
  process.kill(pid, "SIGKILL");
  await waitFor("the postmaster is gone", () => !isAlive(pid));
  expect(await findPostmaster(node.files.dataDir)).toBeUndefined();

  const again = await node.start();

  expect(again.pid).not.toBe(pid);
  const rows = await withSession(node.superuser, (session) =>
    session.query("SELECT count(*)::int AS n FROM kept"),
  );
  expect(rows).toEqual([{ n: 1 }]);
});

test("a session that hangs when its postmaster is killed is ended by the next start, others' are not", async () => {
  const { pid } = await node.start();
  await other.start();
  const backendOf = async (one: ThrowawayNode): Promise<number> => {
    const session = await one.session();
    return Number((await session.query("SELECT pg_backend_pid() AS pid"))[0]?.["pid"]);
  };
  const [hung, elsewhere] = [await backendOf(node), await backendOf(other)];
  process.kill(hung, "SIGSTOP");
  process.kill(pid, "SIGKILL");
  await waitFor("the postmaster is gone", () => !isAlive(pid));

  expect((await node.start()).status).toBe("ready");

  expect(isAlive(hung)).toBe(false);
  expect(isAlive(elsewhere)).toBe(true);
});

test("stale lock files whose id is another program's now do not keep the server from starting", async () => {
  const { pid } = await node.start();
  process.kill(pid, "SIGKILL");
  await waitFor("the postmaster is gone", () => !isAlive(pid));
  const foreign = await foreignProcess();
  const [, ...rest] = readFileSync(pidFile, "utf8").split("\n");
  // Even its start is the same: a container that came back within seconds.
  rest[1] = String(Math.floor(Date.now() / 1000));
  writeFileSync(pidFile, [foreign, ...rest].join("\n"));
  const socketLock = join(node.files.socketDir, `.s.PGSQL.${node.node.port}.lock`);
  const [, ...more] = readFileSync(socketLock, "utf8").split("\n");
  writeFileSync(socketLock, [foreign, ...more].join("\n"));

  expect(await findPostmaster(node.files.dataDir)).toBeUndefined();
  await stopServer(node.files.dataDir, "pg1", "fast");
  expect(isAlive(foreign)).toBe(true);
  expect((await node.start()).pid).not.toBe(foreign);
  expect(isAlive(foreign)).toBe(true);
  expect(await answers()).toBe(1);
});

test("a stale postmaster.pid whose id is another node's server now neither adopts nor stops that one", async () => {
  const second = await other.start();
  const { pid } = await node.start();
  process.kill(pid, "SIGKILL");
  await waitFor("the postmaster is gone", () => !isAlive(pid));
  const [, ...rest] = readFileSync(pidFile, "utf8").split("\n");
  writeFileSync(pidFile, [second.pid, ...rest].join("\n"));

  expect(await findPostmaster(node.files.dataDir)).toBeUndefined();
  await stopServer(node.files.dataDir, "pg1", "fast");
  expect((await node.start()).pid).not.toBe(second.pid);
  expect(await findPostmaster(other.files.dataDir)).toEqual(second);
});

test("a postmaster.pid that holds no process is nobody's", async () => {
  for (const text of ["", "not a number\n", "0\n", "-1\n", "1\n", "99999999\n"]) {
    writeFileSync(pidFile, text);
    expect(await findPostmaster(node.files.dataDir)).toBeUndefined();
  }
  await removeFile(pidFile);
});

test("a port in use is a failure with the server's own words", async () => {
  const holder = createServer();
  holder.listen(node.node.port, "127.0.0.1");
  await once(holder, "listening");
  atEnd(() => {
    holder.close();
  });

  await expect(node.start()).rejects.toMatchObject({
    code: "node_failed",
    message: expect.stringMatching(/could not bind IPv4 address "127\.0\.0\.1": Address already in use/),
    next: [expect.stringContaining("Another program holds the port")],
  });
  expect(await findPostmaster(node.files.dataDir)).toBeUndefined();
});

test("a setting that the server refuses is a failure with the server's own words", async () => {
  appendFileSync(node.files.synchronousFile, "max_connections = 'many'\n");
  atEnd(() => {
    writeFileSync(node.files.synchronousFile, "");
  });
  await expect(node.start()).rejects.toMatchObject({
    code: "node_failed",
    message: expect.stringContaining('invalid value for parameter "max_connections": "many"'),
  });
  expect(await lastWords(node.files)).toContain("max_connections");
});

test("a reload has the server read its files again", async () => {
  await node.start();
  writeFileSync(node.files.synchronousFile, "work_mem = '7MB'\n");
  atEnd(() => {
    writeFileSync(node.files.synchronousFile, "");
  });
  await reloadServer(node.files.dataDir);
  await waitFor("the new value", async () => {
    const rows = await withSession(node.superuser, (session) => session.query("SHOW work_mem"));
    return rows[0]?.["work_mem"] === "7MB";
  });
});
