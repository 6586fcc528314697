import { readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { figure, seconds } from "../../faults/figures.ts";
import { program } from "../../support/program.ts";
import { waitFor } from "../../support/wait.ts";
import { DISK, type Host } from "../lab/host.ts";
import type { Lab } from "../lab/lab.ts";
import { describeOnHosts, makeLab } from "../on-hosts.ts";
import { Comers } from "../lab/comers.ts";
import { Traffic } from "../lab/traffic.ts";
import { SeveralHosts } from "../several-hosts.ts";

describeOnHosts("a host with endpoints alone", () => {
  let lab: Lab;
  let several: SeveralHosts;
  let app: Host;

  beforeAll(async () => {
    lab = await makeLab("h1", "h2", "h3", "app");
    app = lab.host("app");
    several = await SeveralHosts.alone(lab, program(), app);
    await several.adopt();
    for (const host of several.databases.slice(1)) await several.join(host);
    const address = ["--address", app.address, "--name", app.name];
    // One for a host with a database is not good here, nor the other way round.
    const refused = await several.run(
      app,
      "join",
      await several.invitation(),
      ...address,
      "--endpoints-only",
    );
    expect(refused.stderr).toContain("odoo-pg ha invite --endpoints-only");
    await several.do(
      app,
      "join",
      await several.invitation(undefined, "--endpoints-only"),
      ...address,
      "--endpoints-only",
    );
    await several.ready();
  }, 240_000);

  /** Asks the first host something, by the certificate of "app". */
  async function asks(target: string, body: string) {
    const ha = `${DISK}/s/ha`;
    return await app.run(
      ["curl", "-sS", "--max-time", "5", "--cacert", `${ha}/ca.crt`]
        .concat(["--cert", `${ha}/host.crt`, "--key", `${ha}/host.key`])
        .concat(["-d", body, `https://${lab.host("h1").address}:${target}`]),
      { timeout: 10_000 },
    );
  }

  test("writes and reads go on there when the primary's host is lost", async () => {
    await several.ready();
    const primary = await several.leader();
    const traffic = await Traffic.start(
      await several.endpoint(app, "write"),
      await several.endpoint(app, "read"),
    );
    try {
      const since = performance.now();
      primary.unplug();
      await traffic.goesOn(90_000);
      const gap = traffic.longestGap(since);
      lab.heal();
      await several.ready(primary);
      await traffic.goesOn();
      const { all, stale, byReplica } = traffic.readsSince(since);
      const lost = await traffic.stop();
      figure(
        "Hosts: the primary's host lost, seen from a host with endpoints alone",
        "0 acknowledged rows lost, 0 reads stale",
        `${lost.length} of ${traffic.commits.length} rows lost; ${stale} of ${all} reads stale; writes paused ${seconds(gap)}`,
      );
      expect(lost).toEqual([]);
      expect(stale).toBe(0);
      expect(byReplica).toBeGreaterThan(0);
    } finally {
      await traffic.stop().catch(() => []);
    }
  }, 240_000);

  test("who connects anew there sees nothing of a switchover by plan but that it waits", async () => {
    await several.ready();
    const comers = new Comers(await several.endpoints([app, ...several.databases]));
    try {
      await several.switchover();
      const served = comers.served;
      await waitFor("clients to be served by the new primary", () => comers.served > served + 50);
    } finally {
      await comers.stop();
    }
    figure(
      "Hosts: clients that connect anew for each question, on all hosts, one of them with endpoints alone, during a switchover by plan",
      "each of them is served",
      `${comers.failures.length} of ${comers.served + comers.failures.length} were not served`,
    );
    expect(comers.failures).toEqual([]);
  }, 240_000);

  test("it has no rights on the store, on Patroni, nor over the other hosts", async () => {
    expect((await asks("2379/v3/kv/range", '{"key":"AA=="}')).exitCode).not.toBe(0);
    expect((await asks("8008/switchover", "{}")).exitCode).not.toBe(0);
    expect((await asks("5051/order", '{"order":"down"}')).stdout).toContain("not a host");
    expect((await several.run(app, "switchover")).stderr).toContain("endpoints alone");
    expect((await several.run(app, "ha", "invite")).exitCode).not.toBe(0);
  }, 60_000);

  test("it has what an Odoo there needs, and no other password", async () => {
    expect(await several.do(app, "odoo-conf")).toContain(`db_password = ${several.password("odoo")}`);
    const kept = readdirSync(join(app.folder, "s/secrets"));
    for (const role of ["postgres", "replicator"]) expect(kept).not.toContain(`${role}.password`);
  }, 60_000);

  test("every host shows it, and it shows every host", async () => {
    for (const host of [app, lab.host("h2")])
      expect(
        (await several.do(host, "status")).split("\n").filter((line) => /^(h\d|app) /.test(line)),
      ).toHaveLength(4);
    await several.do(app, "up");
  }, 60_000);

  test("once removed it is no longer answered, with the certificate that it still has", async () => {
    await several.do(app, "down");
    const first = lab.host("h1");
    await waitFor(
      "it to be taken out",
      async () => (await several.run(first, "ha", "remove", "app", "--confirm", "app")).exitCode === 0,
    );
    // A reading of the store that had begun before it was taken out may still end in that moment.
    for (const [path, question] of [
      ["view", '{"report":{}}'],
      ["renew", '{"request":""}'],
    ] as const)
      await waitFor(`/${path} to refuse it`, async () =>
        (await asks(`5051/${path}`, question)).stdout.includes("not a host"),
      );
  }, 60_000);
});
