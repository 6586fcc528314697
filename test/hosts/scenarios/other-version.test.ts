import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, onTestFailed, test } from "vitest";
import * as z from "zod";
import { figure, seconds } from "../../faults/figures.ts";
import { program } from "../../support/program.ts";
import { waitFor } from "../../support/wait.ts";
import type { Lab } from "../lab/lab.ts";
import { describeOnHosts, threeHosts } from "../on-hosts.ts";
import { Traffic } from "../lab/traffic.ts";
import type { SeveralHosts } from "../several-hosts.ts";

const KEY = Buffer.from("/odoo-pg-hosts/lab/document").toString("base64");
const foundSchema = z.object({ kvs: z.object({ value: z.string() }).array().length(1) });
const recordSchema = z.record(z.string(), z.unknown());
const documentSchema = z.looseObject({
  config: recordSchema,
  hosts: z.looseObject({ name: z.string() }).array(),
});
const statusSchema = z.object({
  hosts: z.object({ name: z.string(), report: z.object({ version: z.string() }).nullable() }).array(),
});
const packageSchema = z.object({ version: z.string() });
const LATER = "99.0.0";

/** The program of this run, of another version and build. */
function laterProgram(folder: string): string {
  const root = new URL("../../../package.json", import.meta.url);
  const { version } = packageSchema.parse(JSON.parse(readFileSync(root, "utf8")));
  const text = readFileSync(program(), "utf8")
    .replaceAll(/odoo-pg-build-[0-9a-f]{16}/g, "odoo-pg-build-0123456789abcdef")
    .replaceAll(JSON.stringify(version), JSON.stringify(LATER));
  mkdirSync(join(folder, "later"), { recursive: true });
  const file = join(folder, "later", "odoo-pg.mjs");
  writeFileSync(file, text, { mode: 0o755 });
  return file;
}

describeOnHosts("three hosts that are upgraded one by one", () => {
  let lab: Lab;
  let several: SeveralHosts;

  beforeAll(async () => {
    ({ lab, several } = await threeHosts());
  }, 240_000);

  /** Milliseconds. */
  const LONGEST_PAUSE = 4000;

  async function document() {
    const found = foundSchema.parse(await several.askStore(lab.host("h1"), "kv/range", { key: KEY }));
    return documentSchema.parse(
      JSON.parse(Buffer.from(found.kvs[0]?.value ?? "", "base64").toString("utf8")),
    );
  }

  test("what the later one has written stays, and hosts of the earlier one go on by what they know", async () => {
    onTestFailed(() => several.keepLogs("test-output/hosts/other-version"));
    const [h1, h2, h3] = ["h1", "h2", "h3"].map((name) => lab.host(name));
    if (!h1 || !h2 || !h3) throw new Error("fewer than three hosts");
    await several.install(h3, laterProgram(lab.folder));
    await several.ready();
    const { hosts } = statusSchema.parse(await several.status(h1));
    expect(hosts.find(({ name }) => name === "h3")?.report?.version).toBe(LATER);

    const before = await document();
    const written = {
      ...before,
      config: { ...before.config, kerberos: { realm: "EXAMPLE" } },
      hosts: before.hosts.map((host) => ({ ...host, zone: `zone of ${host.name}` })),
      quorum: "majority",
    };
    const value = Buffer.from(JSON.stringify(written)).toString("base64");
    await several.askStore(h1, "kv/put", { key: KEY, value });

    several.configure(h1, { networks: ["10.88.0.0/24"] });
    const told = await several.run(h1, "up");
    expect(told.stderr + told.stdout).toContain("h3: another version of odoo-pg runs there");
    expect(told.exitCode).toBe(0);
    for (const host of lab.hosts)
      await waitFor(`${host.name} to let the network in`, async () => {
        const rules = await several.value(
          host,
          "SELECT count(*)::int FROM pg_hba_file_rules WHERE address = '10.88.0.0'",
        );
        return Number(rules) > 0;
      });
    expect(await document()).toEqual({
      ...written,
      config: { ...written.config, networks: ["10.88.0.0/24"] },
    });
    await several.ready();
  }, 120_000);

  test("the others follow one after another, with a change of the primary between two versions: nothing is lost, and no read is stale", async () => {
    onTestFailed(() => several.keepLogs("test-output/hosts/upgraded"));
    const later = laterProgram(lab.folder);
    await several.ready();
    const primary = await several.leader();
    const other = lab.hosts.find((host) => host !== primary && host.name !== "h3");
    if (!other) throw new Error("fewer than three hosts");
    const [write, read] = [await several.endpoint(other, "write"), await several.endpoint(other, "read")];
    const traffic = await Traffic.start(write, read);
    try {
      const since = performance.now();
      await several.do(primary, "switchover", "--to", "h3");
      for (const host of [primary, other]) {
        await several.ready();
        await several.install(host, later);
      }
      await several.ready();
      await several.do(lab.host("h3"), "switchover", "--to", primary.name);
      await traffic.goesOn();
      const gap = traffic.longestGap(since);
      const { all, stale } = traffic.readsSince(since);
      const lost = await traffic.stop();
      figure(
        "Hosts: odoo-pg upgraded on one host after another, with two switchovers between the versions",
        "0 acknowledged rows lost, 0 reads stale; no client is refused",
        `${lost.length} of ${traffic.commits.length} rows lost; ${stale} of ${all} reads stale; writes paused ${seconds(gap)}`,
      );
      expect(lost).toEqual([]);
      expect(stale).toBe(0);
      expect(traffic.refused).toEqual([]);
      expect(gap).toBeLessThan(2 * LONGEST_PAUSE);
    } finally {
      await traffic.stop().catch(() => []);
    }
    const { hosts } = statusSchema.parse(await several.status(other));
    expect(hosts.map(({ report }) => report?.version)).toEqual([LATER, LATER, LATER]);
  }, 240_000);
});
