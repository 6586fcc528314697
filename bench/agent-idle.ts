import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type Benchmark, table } from "./table.ts";
import { withCluster } from "./throwaway.ts";

const SECONDS = 20;
/** Clock ticks of Linux in a second (sysconf(_SC_CLK_TCK), 100 on all its platforms that Node.js runs on). */
const TICKS = 100;

/** What the agent of two nodes costs while nothing happens. */
export const agentIdle: Benchmark = {
  name: "agent-idle",
  title: "The idle agent of two nodes",
  measure: async (program) =>
    await withCluster(program, async (cluster) => {
      if (process.platform !== "linux") return "Measured on Linux only.";
      await cluster.run("up");
      const pid = Number.parseInt(readFileSync(join(cluster.stateDir, "agent.lock"), "utf8"), 10);
      // What `up` left to do is done by then.
      await pause(5_000);
      const before = cpuSeconds(pid);
      await pause(SECONDS * 1000);
      const used = cpuSeconds(pid) - before;
      return table(
        [`over ${SECONDS} s`, ""],
        [
          ["share of one core", `${((used / SECONDS) * 100).toFixed(1)} %`],
          ["memory (RSS)", `${(residentKilobytes(pid) / 1024).toFixed(0)} MB`],
        ],
      );
    }),
};

/** Fields 14 and 15 of /proc/PID/stat: time in user and in kernel mode. */
function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

function residentKilobytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}
