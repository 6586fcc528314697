import { beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../../support/wait.ts";
import type { Host } from "../lab/host.ts";
import { cannotMakeHosts } from "../lab/lab.ts";
import type { SeveralHosts } from "../several-hosts.ts";
import { type Fault, POSTMASTER, Stage } from "./scene.ts";

const reason = cannotMakeHosts();
if (reason !== undefined) console.warn(`No hosts are tried: ${reason}.`);

/** The host whose data has a small disk of its own, and where that is mounted. */
const SMALL = "h2";
const DATA = "/srv/s/nodes";

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

const faults: readonly Fault[] = [
  {
    name: "a replica's disk full, and room again",
    passes: "writes pause 8 s at most; status names the cause; the replica comes back by itself",
    async happens({ several, primary, replica, other }) {
      expect(replica.name).toBe(SMALL);
      await fill(replica);
      // It goes on with what it has, and receives nothing any more.
      await writeUntil(several, primary, async () => {
        const { stdout } = await several.run(other, "status");
        return new RegExp(`^${replica.name} .*does not stream`, "m").test(stdout);
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

describe.skipIf(reason !== undefined)("three hosts, one of them with a small disk", () => {
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
});

function never(): never {
  throw new Error("not reached");
}
