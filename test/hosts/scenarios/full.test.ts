import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { figure, seconds } from "../../faults/figures.ts";
import { waitFor } from "../../support/wait.ts";
import type { Host } from "../lab/host.ts";
import { Traffic } from "../lab/traffic.ts";
import { describeOnHosts } from "../on-hosts.ts";
import type { SeveralHosts } from "../several-hosts.ts";
import { type Fault, POSTMASTER, Stage } from "./scene.ts";

/** The host whose data has a small disk of its own, and where that is mounted. */
const SMALL = "h2";
const DATA = "/srv/s/nodes";
/** Where that host's WAL is while it is not there. */
const WAL = "/srv/wal";

/** Leaves no room at all on the small disk. */
async function fill(host: Host): Promise<void> {
  await host.run(["sh", "-c", `head -c 1G /dev/zero > ${DATA}/ballast`]);
}

async function makeRoom(host: Host): Promise<void> {
  await host.do(["rm", `${DATA}/ballast`]);
}

/** Has the primary write WAL until a server finds no room for it. */
async function writeUntil(several: SeveralHosts, primary: Host, full: () => Promise<boolean>): Promise<void> {
  await waitFor(
    "a server to find no room",
    async () => {
      const messages =
        "SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000)) FROM generate_series(1, 8)";
      await several.value(primary, messages).catch(() => {});
      return await full();
    },
    { timeout: 60_000 },
  );
}

/** What any host says of one whose disk is full. */
async function isTold(several: SeveralHosts, by: Host, full: Host): Promise<void> {
  await waitFor(
    `status on ${by.name} to say that the disk of ${full.name} is full`,
    async () => {
      const { stdout } = await several.run(by, "status");
      if (new RegExp(String.raw`^Make room: ${full.name}: .* 100 % full`, "m").test(stdout)) return true;
      throw new Error(stdout);
    },
    { timeout: 30_000 },
  );
}

/** Moves a host's WAL off the small disk, as by `initdb --waldir`; its server is stopped meanwhile. */
async function keepWalElsewhere(several: SeveralHosts, host: Host): Promise<void> {
  await several.do(host, "down");
  const data = `$(ls -d ${DATA}/*/data)`;
  await host.do([
    "sh",
    "-c",
    `data=${data}; cp -a "$data/pg_wal" ${WAL} && rm -r "$data/pg_wal" && ln -s ${WAL} "$data/pg_wal"`,
  ]);
  await several.do(host, "up");
}

/** Has a host's alarms be written into a file. */
async function takeAlarms(several: SeveralHosts, host: Host): Promise<void> {
  const script = `require("node:http").createServer((asked, answer) => {
    let text = "";
    asked.on("data", (data) => (text += data));
    asked.on("end", () => (console.log(text), answer.end()));
  }).listen(9999, "127.0.0.1", () => console.log("listens"))`;
  const listener = host.start("alarms", [process.execPath, "--eval", script]);
  await waitFor("somebody to listen for alarms", () => listener.log().includes("listens"));
  writeFileSync(join(host.folder, "alarm-webhook"), "http://127.0.0.1:9999/\n", { mode: 0o600 });
  several.configure(host, {
    alarms: { webhook_file: "/srv/alarm-webhook", rules: { disk_nearly_full: { after_seconds: 1 } } },
  });
  await several.do(host, "up");
}

function alarmsOf(host: Host): string {
  return readFileSync(join(host.folder, "alarms.log"), "utf8");
}

const faults: readonly Fault[] = [
  {
    name: "a replica's disk full, and room again",
    passes: "writes pause 8 s at most; status names the cause; the replica comes back by itself",
    async happens({ several, primary, replica, other }) {
      expect(replica.name).toBe(SMALL);
      await fill(replica);
      // It goes on with what it has, and receives nothing any more; or replaying found no room first, and it ended.
      await writeUntil(several, primary, async () => {
        const { stdout } = await several.run(other, "status");
        return new RegExp(`^${replica.name} .*(?:does not stream|silent)`, "m").test(stdout);
      });
      await isTold(several, other, replica);
    },
    ends: async ({ replica }) => await makeRoom(replica),
    most: 8000,
  },
  {
    name: "the disk of the primary's WAL full, and room again",
    passes:
      "another host takes over within 6 s; status names the cause; the host comes back by itself as a replica; 0 rows lost, 0 reads stale",
    async happens({ several, primary, other }) {
      expect(primary.name).toBe(SMALL);
      await fill(primary);
      const [first] = primary.processes(POSTMASTER);
      await writeUntil(
        several,
        primary,
        async () =>
          await Promise.resolve(!primary.processes(POSTMASTER).some(({ pid }) => pid === first?.pid)),
      );
      await isTold(several, other, primary);
    },
    ends: async ({ primary }) => await makeRoom(primary),
    most: 6000,
  },
];

describeOnHosts("three hosts, one of them with a small disk", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.of({
      before: async (lab) => {
        const mount = `mount -t tmpfs -o size=320m,mode=0755 small ${DATA}`;
        await lab.host(SMALL).do(["sh", "-c", `mkdir -p ${DATA} && ${mount}`]);
      },
    });
  }, 240_000);

  test("a replica", async () => await stage.suffers(faults[0] ?? never()), 200_000);

  test("the primary", async () => {
    await stage.several.do(stage.lab.host("h1"), "switchover", "--to", SMALL);
    await stage.suffers(faults[1] ?? never());
  }, 200_000);

  test("the primary's data, while its WAL has room", async () => {
    const { lab, several } = stage;
    const small = lab.host(SMALL);
    await keepWalElsewhere(several, small);
    await takeAlarms(several, small);
    // By its own agent, which is asked: others may know a moment earlier.
    await several.ready(small);
    await several.do(small, "switchover", "--to", SMALL);
    const scene = await stage.scene();
    const { other } = scene;
    const [first] = small.processes(POSTMASTER);
    const traffic = await Traffic.start(
      await several.endpoint(other, "write"),
      await several.endpoint(other, "read"),
    );
    try {
      await several.value(small, "CREATE TABLE filler (line text)");
      await fill(small);
      await waitFor("a statement to fail for want of room", async () => {
        const lines = "INSERT INTO filler SELECT repeat(md5(n::text), 50) FROM generate_series(1, 1000) AS n";
        const said = await several.value(small, lines).catch((error: unknown) => String(error));
        return /No space left on device/.test(String(said));
      });
      await isTold(several, other, small);
      await waitFor("the alarm", () => alarmsOf(small).includes('"disk_nearly_full"'), { timeout: 60_000 });
      expect(await several.leader()).toBe(small);
      expect(await several.value(small, "SELECT 1")).toBe(1);
      // One that finds no room cuts all sessions, and the server recovers; no other host takes over from it.
      await several.value(small, "CHECKPOINT").catch(() => {});
      await isTold(several, other, small);
      expect(small.processes(POSTMASTER).map(({ pid }) => pid)).toContain(first?.pid);
      const since = performance.now();
      await makeRoom(small);
      await traffic.goesOn();
      const gap = performance.now() - since;
      await several.ready(other);
      expect(await several.leader()).toBe(small);
      const { all, stale } = traffic.readsSince(0);
      const lost = await traffic.stop();
      figure(
        "Hosts: the disk of the primary's data full, while its WAL has room, and room again",
        "statements that need room fail, the server goes on, also after a checkpoint that finds none; status and an alarm name the cause; all goes on by itself; 0 rows lost, 0 reads stale",
        `${lost.length} of ${traffic.commits.length} rows lost; ${stale} of ${all} reads stale; writes go on ${seconds(gap)} after there was room`,
      );
      expect(lost).toEqual([]);
      expect(stale).toBe(0);
    } catch (error) {
      several.keepLogs("test-output/hosts/data-disk-full");
      throw error;
    } finally {
      await traffic.stop().catch(() => []);
    }
  }, 240_000);
});

function never(): never {
  throw new Error("not reached");
}
