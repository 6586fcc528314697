import { spawn } from "node:child_process";
import { accessSync, constants, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { execa } from "execa";
import { stringify } from "yaml";
import * as z from "zod";
import { freePort } from "../support/ports.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { holdsWithin, waitFor } from "../support/wait.ts";

/** What Prometheus answers to an instant query. */
const answerSchema = z.object({
  status: z.literal("success"),
  data: z.object({
    result: z
      .object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) })
      .array(),
  }),
});

/** @throws Error that says how to install it */
function programOfPrometheus(name: "prometheus" | "promtool"): string {
  for (const folder of [...(process.env["PATH"] ?? "").split(delimiter), "/usr/local/bin", "/usr/bin"]) {
    const program = join(folder, name);
    try {
      accessSync(program, constants.X_OK);
      return program;
    } catch {
      // Not here.
    }
  }
  throw new Error(
    `${name} is not installed, and the metrics are tested with it. On Debian or Ubuntu: ` +
      "sudo apt-get install -y --no-install-recommends prometheus; with Homebrew: brew install prometheus",
  );
}

/** Runs promtool to its end, whatever its exit status; what it printed is in `all`. */
export async function promtool(
  args: readonly string[],
  input = "",
): Promise<{ readonly exitCode: number | undefined; readonly all: string }> {
  const ran = await execa(programOfPrometheus("promtool"), args, { input, all: true, reject: false });
  return { exitCode: ran.exitCode, all: ran.all };
}

export interface Prometheus {
  /** The result of an instant query: each series with its labels and value. */
  query(expression: string): Promise<readonly { metric: Record<string, string>; value: number }[]>;
}

/**
 * A Prometheus of its own for the present test, with a configuration; its intervals are those that are given.
 * What it is given as `rule_files` are paths.
 */
export async function startPrometheus(configuration: Readonly<Record<string, unknown>>): Promise<Prometheus> {
  const folder = temporaryFolder();
  const port = await freePort();
  const file = join(folder, "prometheus.yml");
  writeFileSync(file, stringify(configuration));
  mkdirSync(join(folder, "data"));
  const child = spawn(
    programOfPrometheus("prometheus"),
    [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=error",
    ],
    { cwd: folder, stdio: ["ignore", "ignore", "pipe"] },
  );
  let words = "";
  let ended = false;
  child.stderr.on("data", (chunk) => {
    words += String(chunk);
  });
  child.on("exit", () => {
    ended = true;
  });
  atEnd(async () => {
    child.kill("SIGTERM");
    if (!(await holdsWithin(20_000, () => ended))) child.kill("SIGKILL");
  });
  await waitFor("Prometheus to be ready", async () => {
    if (ended) throw new Error(`Prometheus ended: ${words}`);
    const answer = await fetch(`http://127.0.0.1:${port}/-/ready`).catch(() => undefined);
    return answer?.ok === true;
  });
  return {
    async query(expression) {
      const answer = await fetch(
        `http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expression)}`,
      );
      const { data } = answerSchema.parse(await answer.json());
      return data.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
    },
  };
}
