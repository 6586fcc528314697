import { execa } from "execa";
import { expect } from "vitest";
import { type DoctorDocument, doctorDocumentSchema } from "../../src/advice/doctor/document.ts";
import type { Finding } from "../../src/advice/doctor/findings.ts";
import type { ThrowawayCluster } from "../support/cluster.ts";
import { runProgram } from "../support/program.ts";

/** Characters of three lines of 80 columns: so much is a message, and so much a next step, whatever was planted. */
const THREE_LINES = 240;

/** What `doctor --json` says, checked against its schema; its exit status fits. */
export async function examine(
  cluster: ThrowawayCluster,
  args: readonly string[] = [],
): Promise<DoctorDocument> {
  const { exitCode, stdout, stderr } = await cluster.run(["doctor", "--json", ...args]);
  expect(stderr).toBe("");
  const document = doctorDocumentSchema.parse(JSON.parse(stdout));
  for (const { code, message, next } of document.findings) {
    expect([code, message.length <= THREE_LINES, message]).toEqual([code, true, message]);
    const step = next.replaceAll(/ --config \S+/g, "");
    expect([code, step.length <= THREE_LINES, step]).toEqual([code, true, step]);
  }
  expect(exitCode).toBe(document.nodes.length === 0 ? 69 : document.worst === "critical" ? 1 : 0);
  return document;
}

/** Findings, but those that the day of the test alone decides. */
export function timeless({ findings }: DoctorDocument): Finding[] {
  return findings.filter(({ code }) => !code.startsWith("major_version_"));
}

/** The one finding of a code. @throws Error naming those that there are */
export function only({ findings }: DoctorDocument, code: string): Finding {
  const found = findings.filter((one) => one.code === code);
  if (found.length === 1 && found[0]) return found[0];
  throw new Error(`${found.length} findings ${code} in: ${JSON.stringify(findings, undefined, 1)}`);
}

/** Runs the odoo-pg command with which a finding ends, as a shell would. */
export async function follow(cluster: ThrowawayCluster, { next }: Finding): Promise<void> {
  const command = /(?:^|: )odoo-pg (.*)$/s.exec(next)?.[1];
  if (command === undefined) throw new Error(`There is no command in: ${next}`);
  const { stdout } = await execa("sh", ["-c", `set -- ${command}; printf '%s\\0' "$@"`]);
  const ran = await runProgram(stdout.split("\0").slice(0, -1), { home: cluster.folder });
  if (ran.exitCode !== 0)
    throw new Error(`${next}\nended with ${ran.exitCode}:\n${ran.stdout}\n${ran.stderr}`);
}
