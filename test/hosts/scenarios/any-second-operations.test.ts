import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { AGENT_PORT } from "../../../src/hosts/documents/places.ts";
import { atEnd } from "../../support/scope.ts";
import { waitFor } from "../../support/wait.ts";
import { ANY_SECOND, AnySecond, Marks, REPOSITORY } from "../lab/any-second.ts";
import { DISK, type Host } from "../lab/host.ts";
import type { Lab } from "../lab/lab.ts";
import { describeOnHosts, keepLogsOfFailed, threeHosts } from "../on-hosts.ts";
import type { SeveralHosts } from "../several-hosts.ts";

/** What people do with a cluster of several hosts: each leaves the window as it was, with all its seconds. */
describeOnHosts("any second, and what people do with the hosts", () => {
  let lab: Lab;
  let several: SeveralHosts;
  let second: AnySecond;
  let marks: Marks;
  /** Since when there is a window, and how many marks are older. */
  let from: string | null;
  let begun: number;

  beforeAll(async () => {
    ({ lab, several } = await threeHosts());
    second = new AnySecond(several);
    marks = Marks.start(await several.endpoint(lab.host("h1"), "write"));
    atEnd(async () => await marks.stop());
    await waitFor("marks", async () => (await second.count(lab.host("h1"))) > 10);
  }, 240_000);

  keepLogsOfFailed(() => several);

  /** The window goes on where it began, without a gap. */
  async function isWhole(primary: Host, others: number): Promise<void> {
    await second.copied(primary, others);
    const seen = await second.windowOn(primary);
    expect([seen.from, seen.gaps]).toEqual([from, []]);
  }

  /** Base backups and segments that are in a host's repository. */
  function kept(host: Host): { readonly bases: string[]; readonly segments: string[] } {
    const of = (kind: string): string[] =>
      readdirSync(join(host.folder, REPOSITORY, kind, "lab"), { recursive: true }).map(String);
    return {
      bases: of("backup").filter((name) => /^\d{8}-\d{6}F\/backup.manifest$/.test(name)),
      segments: of("archive").filter((name) => /\/[0-9A-F]{24}-[0-9a-f]{40}/.test(name)),
    };
  }

  test("it is turned on in a cluster that runs, one host after another, the primary's last", async () => {
    const [h1, h2, h3] = [lab.host("h1"), lab.host("h2"), lab.host("h3")];
    const started = "SELECT pg_postmaster_start_time()::text";
    const before = await several.value(h1, started);
    for (const host of [h3, h2, h1]) {
      several.configure(host, ANY_SECOND);
      await several.do(host, "up");
    }
    await waitFor("the window to begin", async () => (await second.windowOn(h1)).from !== null);
    ({ from } = await second.windowOn(h1));
    begun = await second.count(h1);
    await second.more(h1, 10);
    await isWhole(h1, 2);
    expect(await several.value(h1, started)).toEqual(before);
    await second.isExact(h1, await second.momentOf(h1, `marks > ${begun}`), "turned_on_later");
  }, 400_000);

  test("a replica is made anew: its copy stays, and seconds of before and after come back from it", async () => {
    const [h1, h3] = [lab.host("h1"), lab.host("h3")];
    const copied = kept(h3);
    const before = await second.count(h1);
    await several.do(h3, "reseed");
    await several.ready(h1);
    await second.more(h1, 10);
    await isWhole(h1, 2);
    expect(kept(h3).segments).toEqual(expect.arrayContaining(copied.segments));
    await several.do(h1, "switchover", "--to", "h3");
    await several.ready(h1);
    const after = await second.count(h3);
    await second.more(h3, 10);
    await isWhole(h3, 2);
    await second.isExact(
      h3,
      await second.momentOf(h3, `marks BETWEEN ${begun} AND ${before}`),
      "before_reseed",
    );
    await second.isExact(h3, await second.momentOf(h3, `marks > ${after}`), "on_the_reseeded");
  }, 400_000);

  test("the primary's host leaves, after another has taken over, and joins again: its copy goes on", async () => {
    const [h1, h2, h3] = [lab.host("h1"), lab.host("h2"), lab.host("h3")];
    const refused = await several.run(h3, "leave");
    expect([refused.exitCode === 0, refused.stderr]).toEqual([
      false,
      expect.stringMatching(/h3 .*primary[^]*switchover/),
    ]);
    await isWhole(h3, 2);
    await several.do(h1, "switchover", "--to", "h1");
    await several.ready(h1);
    const before = await second.count(h1);
    await several.do(h3, "leave");
    await second.more(h1, 10);
    await isWhole(h1, 1);
    // It keeps what it had, and gets nothing more.
    const left = kept(h3);
    expect(left.bases.length).toBeGreaterThan(0);
    await second.isExact(
      h1,
      await second.momentOf(h1, `marks BETWEEN ${begun} AND ${before}`),
      "before_leave",
    );

    await several.join(h3, h2);
    await several.ready(h1);
    await isWhole(h1, 2);
    expect(kept(h3).segments).toEqual(expect.arrayContaining(left.segments));
    expect(kept(h3).segments.length).toBeGreaterThan(left.segments.length);
    const after = await second.count(h1);
    await several.do(h1, "switchover", "--to", "h3");
    await several.ready(h1);
    await second.more(h3, 10);
    await isWhole(h3, 2);
    await second.isExact(
      h3,
      await second.momentOf(h3, `marks BETWEEN ${before} AND ${after}`),
      "while_it_was_away",
    );
    await second.isExact(h3, await second.momentOf(h3, `marks > ${after}`), "on_the_one_that_was_away");
    await several.do(h1, "switchover", "--to", "h1");
    await several.ready(h1);
  }, 500_000);

  test("a host that was removed gets nothing more of the repository, at its old address and with its old key", async () => {
    const [h1, h2, h3] = [lab.host("h1"), lab.host("h2"), lab.host("h3")];
    const file = (name: string): string => `${DISK}/s/ha/${name}`;
    const { id } = z
      .object({ id: z.string() })
      .parse(JSON.parse(readFileSync(join(h3.folder, "s/ha/host.json"), "utf8")));
    const trust = ["--cacert", file("ca.crt"), "--cert", file("host.crt"), "--key", file("host.key")];
    const asked = async (of: Host, question: string): Promise<string> => {
      const url = `https://${of.address}:${AGENT_PORT}/any-second/${question}`;
      const post = question === "record" ? [] : ["--data-binary", "{}"];
      const said = ["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10"];
      return await h3.do(["curl", ...said, ...trust, "-H", `odoo-pg-host: ${id}`, ...post, url]);
    };
    for (const host of [h1, h2])
      expect([await asked(host, "record"), await asked(host, "look")]).toEqual(["200", "200"]);
    h3.unplug();
    await waitFor(
      "the others to remove it",
      async () => (await several.run(h1, "ha", "remove", "h3", "--confirm", "h3")).exitCode === 0,
      { timeout: 120_000 },
    );
    h3.plugIn();
    for (const host of [h1, h2])
      for (const question of ["record", "look", "folder", "piece"])
        expect([host.name, question, await asked(host, question)]).toEqual([host.name, question, "403"]);
    const had = kept(h3);
    await second.more(h1, 10);
    await isWhole(h1, 1);
    expect(kept(h3)).toEqual(had);
    await several.do(h3, "leave");
    await several.join(h3, h2);
    await several.ready(h1);
    await isWhole(h1, 2);
  }, 500_000);

  test("several hosts become one again: the window goes on there, and the others keep what they have", async () => {
    const [h1, h2, h3] = [lab.host("h1"), lab.host("h2"), lab.host("h3")];
    await isWhole(h1, 2);
    const before = await second.count(h1);
    await several.do(h1, "ha", "disband", "--confirm", "lab");
    const after = await second.count(h1);
    await second.more(h1, 10);
    await isWhole(h1, 0);
    await second.isExact(
      h1,
      await second.momentOf(h1, `marks BETWEEN ${begun} AND ${before}`),
      "before_disband",
    );
    await second.isExact(h1, await second.momentOf(h1, `marks > ${after}`), "after_disband");
    await several.do(h1, "backup", "verify", "--any-second");
    for (const host of [h2, h3]) {
      const copy = kept(host);
      expect(copy.bases).toEqual(kept(h1).bases);
      await several.do(host, "leave");
      expect(kept(host)).toEqual(copy);
      expect(existsSync(join(host.folder, "s/ha/host.json"))).toBe(false);
    }
    // Also with the configuration that it has from then on.
    const went = await second.count(h1);
    await several.do(h1, "down");
    await several.do(h1, "up");
    await second.more(h1, 10);
    await isWhole(h1, 0);
    await second.isExact(
      h1,
      await second.momentOf(h1, `marks BETWEEN ${begun} AND ${went}`),
      "after_a_restart",
    );
  }, 500_000);
});
