import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFailed, test } from "vitest";
import { program } from "../../support/program.ts";
import { atEnd } from "../../support/scope.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait.ts";
import { cannotMakeHosts, Lab } from "../lab/lab.ts";
import { SeveralHosts } from "../several-hosts.ts";

const reason = cannotMakeHosts();
if (reason !== undefined) console.warn(`No hosts are tried: ${reason}.`);

describe.skipIf(reason !== undefined)("a name that another machine was given", () => {
  let lab: Lab;
  let several: SeveralHosts;

  beforeAll(async () => {
    lab = await Lab.make(temporaryFolder(), ["h1", "h2", "h3", "h4"]);
    atEnd(async () => await lab.end());
    several = await SeveralHosts.alone(lab, program());
    await several.adopt();
    await several.join(lab.host("h2"));
    await several.join(lab.host("h3"));
  }, 240_000);

  test("a removed host that is switched on again starts no server, also while the machine with its name is away", async () => {
    onTestFailed(() => several.keepLogs("test-output/hosts/same-name"));
    const [first, old, another] = [lab.host("h1"), lab.host("h3"), lab.host("h4")];
    old.signal(/./, "SIGKILL");
    await waitFor(
      "h3 to be removed",
      async () => (await several.run(first, "ha", "remove", "h3", "--confirm", "h3")).exitCode === 0,
      { timeout: 60_000 },
    );
    const invitation = await several.invitation(first);
    await several.do(another, "join", invitation, "--address", another.address, "--name", "h3");
    expect(await several.value(another, "SELECT pg_is_in_recovery()")).toBe(true);
    // Patroni itself refuses a name only while the other one with it answers.
    another.signal(/./, "SIGKILL");
    void several.run(old, "up").catch(() => undefined);
    const log = (): string => readFileSync(join(old.folder, "s/agent.log"), "utf8");
    await waitFor(
      "h3 to see that it was removed",
      () => log().includes("another machine was given its name"),
      {
        timeout: 60_000,
      },
    );
    await expect(several.value(old, "SELECT 1")).rejects.toThrow();
    expect(old.processes().filter(({ command }) => /bin\/patroni /.test(command))).toEqual([]);
    expect(log().match(/patroni: start/g) ?? []).toHaveLength(0);
    await several.do(old, "leave");
    expect(await several.value(await several.leader(), "SELECT 1")).toBe(1);
  }, 280_000);
});
