import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { agentIdle } from "./agent-idle.ts";
import { anySecond } from "./any-second.ts";
import { beforeAndNow } from "./earlier.ts";
import { backupTime, manyBackups } from "./backup.ts";
import { hosts } from "./hosts.ts";
import { whatIsKept } from "./kept.ts";
import { threeLosses } from "./losses.ts";
import { describeMachine } from "./machine.ts";
import { pooling, poolingMany } from "./pooling.ts";
import { poolLeave } from "./pool-leave.ts";
import { readThroughput } from "./read-throughput.ts";
import { reseedTime } from "./reseed.ts";
import { restoreTime } from "./restore.ts";
import { scrapeTime } from "./scrape.ts";
import { staleReads } from "./stale-reads.ts";
import { statusTime } from "./status.ts";
import { switchoverGap } from "./switchover.ts";
import type { Benchmark } from "./table.ts";
import { upTime } from "./up.ts";
import { writeThroughput } from "./write-throughput.ts";

const benchmarks: readonly Benchmark[] = [
  upTime,
  statusTime,
  agentIdle,
  scrapeTime,
  backupTime,
  manyBackups,
  anySecond,
  whatIsKept,
  threeLosses,
  staleReads,
  writeThroughput,
  switchoverGap,
  poolLeave,
  pooling,
  poolingMany,
  readThroughput,
  reseedTime,
  restoreTime,
  beforeAndNow,
  hosts,
];

/**
 * Measures, prints tables in Markdown, and with --write puts them into docs/benchmarks.md. Of those that are not named
 * the document keeps what it has.
 * @param root the checkout, with the program built in dist/
 * @param args names of benchmarks (default all) and --write
 * @returns exit status
 */
export async function runBenchmarks(root: string, args: readonly string[]): Promise<number> {
  const names = args.filter((arg) => arg !== "--write");
  const unknown = names.filter((name) => !benchmarks.some((benchmark) => benchmark.name === name));
  if (unknown.length > 0) {
    console.error(
      `No benchmark "${unknown.join('", "')}": ${benchmarks.map(({ name }) => name).join(", ")}, --write`,
    );
    return 2;
  }
  const file = join(root, "docs/benchmarks.md");
  const sections = existsSync(file) ? sectionsOf(readFileSync(file, "utf8")) : new Map<string, string>();
  const machine = await describeMachine();
  for (const { name, title, measure } of benchmarks) {
    if (names.length > 0 && !names.includes(name)) continue;
    console.error(`${name} …`);
    const section = `## ${title}\n\n${await measure(join(root, "dist/odoo-pg.mjs"))}`;
    console.log(`${section}\n`);
    sections.set(title, section);
    if (!args.includes("--write")) continue;
    const parts = [
      "# Benchmarks",
      "`npm run bench -- --write` makes this page. Both sides of each table were measured in one run, in turns, on one machine.",
      machine,
      ...benchmarks.flatMap((one) => sections.get(one.title) ?? []),
    ];
    writeFileSync(file, `${parts.join("\n\n")}\n`);
  }
  return 0;
}

/** The sections of the document by their titles. */
function sectionsOf(document: string): Map<string, string> {
  return new Map(
    document
      .trim()
      .split(/\n\n(?=## )/)
      .slice(1)
      .map((section) => [/^## (.*)/.exec(section)?.[1] ?? "", section]),
  );
}
