import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Client } from "pg";
import { type Benchmark, table } from "./table.ts";
import { type Cluster, withCluster } from "./throwaway.ts";

const SECONDS = 20;

/** Seconds until the code of a new process is compiled, and the follow-up work of `up` is done. */
const SETTLED = 40;
/** Clock ticks of Linux in a second (sysconf(_SC_CLK_TCK), 100 on all its platforms that Node.js runs on). */
const TICKS = 100;

/**
 * The load of the agent of two nodes while nothing happens, and while a page of the console is open and others write.
 */
export const agentIdle: Benchmark = {
  name: "agent-idle",
  title: "What the agent of two nodes costs",
  measure: async (program) =>
    await withCluster(program, async (cluster) => {
      if (process.platform !== "linux") return "Measured on Linux only.";
      await cluster.run("up");
      const pid = Number.parseInt(readFileSync(join(cluster.stateDir, "agent.lock"), "utf8"), 10);
      await pause(SETTLED * 1000);
      const cells = async (): Promise<[string, string]> => {
        // Earlier steps leave work to do: it is done by then.
        await pause(5_000);
        const before = cpuSeconds(pid);
        await pause(SECONDS * 1000);
        const share = ((cpuSeconds(pid) - before) / SECONDS) * 100;
        return [`${share.toFixed(1)} %`, `${(residentKilobytes(pid) / 1024).toFixed(0)} MB`];
      };
      const idle = await cells();
      const reader = await openPage(cluster.ports.page);
      const open = await cells();
      const writer = await startWriting(cluster);
      const busy = await cells();
      await writer.stop();
      await reader.close();
      return table(
        [`over ${SECONDS} s`, "share of one core", "memory (RSS)"],
        [
          ["nothing happens", ...idle],
          ["the console's page is open", ...open],
          ["the page is open, and a client writes without pause", ...busy],
        ],
      );
    }),
};

/** Follows the console's events, as its page does. */
async function openPage(port: number): Promise<{ close: () => Promise<void> }> {
  const ended = new AbortController();
  const answer = await fetch(`http://127.0.0.1:${port}/api/stream`, { signal: ended.signal });
  if (!answer.ok || !answer.body) throw new Error(`the console answers with ${answer.status}`);
  let events = 0;
  const reading = (async () => {
    for await (const chunk of answer.body ?? []) events += chunk.length > 0 ? 1 : 0;
  })().catch(() => {});
  return {
    close: async () => {
      ended.abort();
      await reading;
      if (events < 2) throw new Error("the page was told nothing");
    },
  };
}

async function startWriting({ stateDir, ports }: Cluster): Promise<{ stop: () => Promise<void> }> {
  const password = readFileSync(join(stateDir, "secrets/postgres.password"), "utf8").trimEnd();
  const client = new Client({
    host: "127.0.0.1",
    port: ports.primary,
    user: "postgres",
    password,
    database: "postgres",
  });
  await client.connect();
  await client.query("CREATE TABLE written (id serial PRIMARY KEY, text text)");
  const ended = new AbortController();
  const writing = (async () => {
    while (!ended.signal.aborted) await client.query("INSERT INTO written (text) VALUES (repeat('x', 200))");
  })();
  return {
    stop: async () => {
      ended.abort();
      await writing;
      await client.end();
    },
  };
}

/** Fields 14 and 15 of /proc/PID/stat: time in user and in kernel mode. */
function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

function residentKilobytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}
