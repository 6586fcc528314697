import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, test } from "vitest";
import { type ThrowawayCluster, throwawayCluster } from "../../support/cluster.ts";
import { meet, type Trouble } from "../../support/planted-trouble.ts";
import { isAlive } from "../../support/processes.ts";
import { waitFor } from "../../support/wait.ts";

let cluster: ThrowawayCluster;

beforeAll(async () => {
  cluster = await throwawayCluster({ config: { postgres: { parameters: { wal_keep_size: "0" } } } });
  await cluster.up();
  await cluster.healthy();
});

/** Runs statements as superuser on a node. */
async function say(node: "pg1" | "pg2", ...statements: readonly string[]): Promise<void> {
  const session = await cluster.session(node);
  for (const statement of statements) await session.rows(statement);
  await session.close();
}

async function kill(pid: number, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
  process.kill(pid, signal);
  if (signal === "SIGKILL") await waitFor("its end", () => !isAlive(pid));
}

const haproxy = (): number => {
  const record: unknown = JSON.parse(readFileSync(join(cluster.stateDir, "haproxy/process.json"), "utf8"));
  const pid =
    typeof record === "object" && record !== null && "pid" in record ? Number(record.pid) : Number.NaN;
  return pid;
};

const troubles: Readonly<Record<string, Trouble>> = {
  "an agent that is dead": {
    plant: async () => await kill(cluster.agent()),
    met: ["status"],
    says: "The agent does not answer",
    brings: "gone",
  },
  "an agent that hangs": {
    plant: async () => await kill(cluster.agent(), "SIGSTOP"),
    met: ["status"],
    says: "The agent does not answer",
    // It holds the lock: `up` names the process to end, and then goes on.
    brings: /kill \d+/,
    after: async () => {
      await kill(cluster.agent());
      await cluster.up();
    },
  },
  "a primary and an agent that were killed": {
    plant: async () => {
      await kill(cluster.agent());
      await kill(cluster.postmaster("pg1"));
    },
    met: ["status"],
    says: "pg1, the primary, is not running",
    brings: "gone",
  },
  "a HAProxy and an agent that were killed": {
    plant: async () => {
      const pid = haproxy();
      await kill(cluster.agent());
      await kill(pid);
    },
    met: ["status"],
    says: "HAProxy does not answer",
    brings: "gone",
  },
  "everything was killed": {
    plant: async () => {
      for (const pid of [cluster.agent(), haproxy(), cluster.postmaster("pg2"), cluster.postmaster("pg1")])
        await kill(pid);
    },
    met: ["status"],
    says: /is not running|Nothing of cluster/,
    brings: "gone",
  },
  "a cluster that was stopped": {
    plant: async () => void (await cluster.down()),
    met: ["status"],
    says: "was stopped by",
    brings: "gone",
  },
  "replay that is paused": {
    plant: async () => await say("pg2", "SELECT pg_wal_replay_pause()"),
    met: ["status"],
    says: "Replay is paused on pg2",
    brings: "gone",
  },
  "a replica that was promoted without odoo-pg": {
    plant: async () => {
      await kill(cluster.agent(), "SIGSTOP");
      await say("pg2", "SELECT pg_promote()");
      await kill(cluster.agent(), "SIGCONT");
    },
    met: ["status"],
    says: "pg2 answers as a primary beside pg1",
    brings: "gone",
  },
  "a replica that has to be brought back": {
    met: ["status"],
    says: /pg2.*(rejoin|timeline|primary|rebuil)/i,
    brings: "gone",
    after: async () => await cluster.healthy(),
  },
  "a setting that waits for a restart": {
    plant: async () =>
      await say("pg1", "ALTER SYSTEM SET max_worker_processes = 24", "SELECT pg_reload_conf()"),
    met: ["status"],
    says: "a restart is needed for max_worker_processes",
    brings: "gone",
    after: async () => {
      await say("pg1", "ALTER SYSTEM RESET max_worker_processes");
      await cluster.run(["up"]);
      await cluster.healthy();
    },
  },
  "a promotion while the primary runs": {
    met: ["promote", "pg2"],
    says: "Error (",
    brings: /switchover|primary/,
    after: async () => {
      await cluster.run(["switchover", "--to", "pg1"]);
      await cluster.healthy();
    },
  },
  "a rebuild of the primary": { met: ["reseed", "pg1"], says: "Error (", brings: /pg2|primary|switchover/ },
  "a node of no name": { met: ["reseed", "pg9"], says: "No node is named", brings: /pg1|pg2/ },
  "a log that there is not": {
    met: ["logs", "postgres"],
    says: 'There is no log of "postgres"',
    brings: /./,
  },
  "a destruction that was not confirmed": { met: ["destroy"], says: "Error (", brings: /./ },
};

test.each(Object.entries(troubles))("%s", async (_, trouble) => {
  await meet(cluster, trouble);
});
