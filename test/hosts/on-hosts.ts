import { join } from "node:path";
import { beforeEach, describe, onTestFailed } from "vitest";
import { program } from "../support/program.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { cannotMakeHosts, Lab } from "./lab/lab.ts";
import { SeveralHosts } from "./several-hosts.ts";

/**
 * Tests on hosts of their own. Where this machine can make none, they are skipped, and the reason is said.
 * @param lacking what else keeps them from being tried
 */
export function describeOnHosts(title: string, tests: () => void, lacking?: string): void {
  const reason = cannotMakeHosts() ?? lacking;
  if (reason !== undefined) console.warn(`No hosts are tried: ${reason}.`);
  describe.skipIf(reason !== undefined)(title, tests);
}

/** Hosts with nothing on them, gone at the end of the present scope. */
export async function makeLab(...names: readonly string[]): Promise<Lab> {
  const lab = await Lab.make(temporaryFolder(), names);
  atEnd(async () => await lab.end());
  return lab;
}

/** Three hosts with a database, made of one that ran. */
export async function threeHosts(): Promise<{ readonly lab: Lab; readonly several: SeveralHosts }> {
  const lab = await makeLab("h1", "h2", "h3");
  return { lab, several: await SeveralHosts.start(lab, program()) };
}

/** Keeps the hosts' logs of every test of this scope that fails. */
export function keepLogsOfFailed(several: () => SeveralHosts): void {
  beforeEach(() => {
    onTestFailed(({ task }) =>
      several().keepLogs(join("test-output/hosts", task.name.replaceAll(/\W+/g, "-").slice(0, 80))),
    );
  });
}
