import { execa } from "execa";
import { readFileSync } from "node:fs";
import { cpus, release, totalmem, type } from "node:os";

async function firstLine(program: string, args: readonly string[]): Promise<string> {
  const ran = await execa(program, args, { reject: false });
  return (ran.stdout ?? "").split("\n")[0] ?? "";
}

/** The machine and the versions of the measurements. */
export async function describeMachine(): Promise<string> {
  const cores = cpus();
  const postgres = await firstLine("pg_config", ["--version"]);
  const haproxy = /version (\S+)/.exec(await firstLine("/usr/sbin/haproxy", ["-v"]))?.[1] ?? "?";
  return [
    `Machine: ${cores.length} cores (${cores[0]?.model.trim() ?? "?"}), ${Math.round(totalmem() / 2 ** 30)} GB memory,`,
    `${system()} (${type()} ${release()}); ${postgres}, HAProxy ${haproxy}, Node.js ${process.versions.node}.`,
  ].join(" ");
}

function system(): string {
  try {
    return /^PRETTY_NAME="(.+)"$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "?";
  } catch {
    return "macOS";
  }
}
