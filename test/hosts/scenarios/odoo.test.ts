import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { figure, seconds } from "../../faults/figures.ts";
import { atEnd } from "../../support/scope.ts";
import type { Host } from "../lab/host.ts";
import { describeOnHosts } from "../on-hosts.ts";
import type { SeveralHosts } from "../several-hosts.ts";
import { type Scene, Stage } from "./scene.ts";

/** Debian's, which has Debian's python3-psycopg2. */
const PYTHON = "/usr/bin/python3";
const lacking =
  spawnSync(PYTHON, ["-c", "import psycopg2"]).status === 0 ? undefined : "python3-psycopg2 is missing";

/** Users at once: each has one request open at any time. */
const CLIENTS = 6;
/** Milliseconds that users work before a fault and after it. */
const QUIET = 3000;

const seenSchema = z.object({
  requests: z.number(),
  writes: z.number(),
  stale: z.number(),
  replica_given_up: z.number(),
  longest_ms: z.number(),
  failed: z.object({ began_ms: z.number(), ended_ms: z.number(), words: z.string() }).array(),
});
type Seen = z.output<typeof seenSchema>;

/** Users of an Odoo on a host, which works without a pause; `stop` says what they saw. */
async function users(several: SeveralHosts, host: Host): Promise<{ stop: () => Promise<Seen> }> {
  const script = readFileSync(new URL("../../faults/odoo-client.py", import.meta.url), "utf8");
  const child = host.converse([PYTHON, "-c", script, "ledger", String(CLIENTS)], {
    PGPASSWORD: several.password("odoo"),
    WRITE_PORT: "5436",
    READ_PORT: "5435",
  });
  atEnd(() => void child.kill("SIGKILL"));
  const [out, errors]: string[][] = [[], []];
  child.stdout.on("data", (data) => out?.push(String(data)));
  child.stderr.on("data", (data) => errors?.push(String(data)));
  await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
  expect(out?.join(""), errors?.join("")).toBe("ready\n");
  return {
    stop: async () => {
      child.stdin.end();
      await once(child, "exit");
      return seenSchema.parse(JSON.parse(out?.join("").slice("ready\n".length) ?? ""));
    },
  };
}

interface Happening {
  readonly name: string;
  readonly passes: string;
  readonly happens: (scene: Scene) => Promise<void>;
  /** Most requests that may fail: those that are open at each moment at which sessions are cut. */
  readonly most: number;
}

const happenings: readonly Happening[] = [
  {
    name: "an Odoo-like client during a switchover by plan",
    passes: `no request fails but those open when reads leave the replicas, and when the old primary ends, ${CLIENTS} each time at most; no page is stale`,
    happens: async ({ several }) => await several.switchover(),
    most: 2 * CLIENTS,
  },
  {
    name: "an Odoo-like client while a replica's host is lost, and back",
    passes: `no request fails but the reads that are open there, ${CLIENTS} at most; no page is stale`,
    async happens({ lab, replica }) {
      replica.unplug();
      await pause(12_000);
      lab.heal();
    },
    most: CLIENTS,
  },
  {
    name: "an Odoo-like client while the primary's host is lost, and back",
    passes: `no request fails but those open at the loss, ${CLIENTS} at most; others wait; no page is stale`,
    async happens({ lab, several, primary }) {
      primary.unplug();
      await several.leader(primary);
      await pause(QUIET);
      lab.heal();
    },
    most: CLIENTS,
  },
];

describeOnHosts(
  "three hosts, and users of an Odoo on one of them",
  () => {
    let stage: Stage;

    beforeAll(async () => {
      stage = await Stage.of();
    }, 240_000);

    for (const { name, passes, happens, most } of happenings)
      test(
        name,
        async () => {
          const scene = await stage.scene();
          const odoo = await users(scene.several, scene.other);
          await pause(QUIET);
          await happens(scene);
          await pause(QUIET);
          await scene.several.ready(scene.other);
          const seen = await odoo.stop();
          const told = JSON.stringify(seen, undefined, 1);
          if (seen.failed.length > most)
            scene.several.keepLogs(join("test-output/hosts", name.replaceAll(/\W+/g, "-")));
          figure(
            `Hosts: ${name}`,
            passes,
            `${seen.failed.length} of ${seen.requests} requests failed, ${seen.stale} pages stale; the longest took ${seconds(seen.longest_ms)}`,
          );
          expect(seen.stale, told).toBe(0);
          expect(seen.failed.length, told).toBeLessThanOrEqual(most);
          expect(seen.replica_given_up, told).toBe(0);
          expect(seen.writes).toBeGreaterThan(100);
        },
        200_000,
      );
  },
  lacking,
);
