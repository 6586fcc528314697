import { execa } from "execa";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { pgbench, preparePgbench, withReplicated } from "./replicated.ts";
import { type Benchmark, median, table } from "./table.ts";
import { freePorts, serverUser } from "./throwaway.ts";

const ROUNDS = 5;
const SECONDS = 6;

/** The cost of the read endpoint: compared with no balancer, and with a HAProxy that only passes traffic on. */
export const readThroughput: Benchmark = {
  name: "reads",
  title: "Read throughput of the read endpoint",
  measure: async (program) =>
    await withReplicated(program, { nodes: 2, consistency: "bounded" }, async (cluster) => {
      await preparePgbench(cluster, 10);
      const [port = 0] = await freePorts(1);
      const file = join(cluster.folder, "plain.cfg");
      writeFileSync(
        file,
        `global
  maxconn 1000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen reads
  bind 127.0.0.1:${port}
  server pg2 127.0.0.1:${cluster.ports.node("pg2")}
`,
      );
      const haproxy = execa("/usr/sbin/haproxy", ["-db", "-f", file], {
        ...(await serverUser()),
        // A session of its own, as every service has: Linux shares the processors out by session.
        detached: true,
        stdin: "ignore",
        reject: false,
      });
      try {
        await pause(500);
        const sides = [
          ["directly", cluster.ports.node("pg2")],
          ["a plain HAProxy", port],
          ["the read endpoint", cluster.ports.read],
        ] as const;
        const measured = sides.map((): number[] => []);
        for (let round = 0; round < ROUNDS; round += 1) {
          for (const [index, [, to]] of sides.entries())
            measured[index]?.push(await pgbench(cluster, to, SECONDS, "-S"));
        }
        const direct = median(measured[0] ?? []);
        const plain = median(measured[1] ?? []);
        return [
          `pgbench -S with 8 clients for ${SECONDS} s, all answered by the one replica, in turns. HAProxy shares the cores with`,
          "server and clients. The plain one has a configuration of ten lines and no checks.",
          "",
          table(
            [
              `transactions a second, ${ROUNDS} runs each`,
              "median",
              "lowest",
              "highest",
              "of direct",
              "of plain HAProxy",
            ],
            sides.map(([name], index) => {
              const tps = measured[index] ?? [];
              return [
                name,
                ...[median(tps), Math.min(...tps), Math.max(...tps)].map((value) => value.toFixed(0)),
                (median(tps) / direct).toFixed(2),
                (median(tps) / plain).toFixed(2),
              ];
            }),
          ),
        ].join("\n");
      } finally {
        haproxy.kill("SIGTERM");
        await haproxy;
      }
    }),
};
