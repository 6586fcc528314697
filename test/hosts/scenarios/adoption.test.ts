import { expect, test } from "vitest";
import { figure, seconds } from "../../faults/figures.ts";
import { program } from "../../support/program.ts";
import { describeOnHosts, makeLab } from "../on-hosts.ts";
import { Traffic } from "../lab/traffic.ts";
import { SeveralHosts } from "../several-hosts.ts";

describeOnHosts("a running cluster that becomes one of several hosts", () => {
  test("cuts no session, refuses nobody, and lets one host in with each token", async () => {
    const lab = await makeLab("h1", "h2", "h3");
    const [h1, h2, h3] = [lab.host("h1"), lab.host("h2"), lab.host("h3")];
    const several = await SeveralHosts.alone(lab, program());
    const traffic = await Traffic.start(
      await several.endpoint(h1, "write"),
      await several.endpoint(h1, "read"),
    );
    const since = performance.now();
    await several.adopt();

    const one = await several.invitation();
    const tries = await Promise.all(
      [h2, h3].map(async (host) => ({ host, ...(await several.run(host, ...several.joining(host, one))) })),
    );
    const refused = tries.filter(({ exitCode }) => exitCode !== 0);
    expect(refused.map(({ stderr }) => /the token was used already/.test(stderr))).toEqual([true]);
    for (const { host } of refused) await several.join(host);
    await several.ready();

    const gap = traffic.longestGap(since);
    const { all, stale } = traffic.readsSince(since);
    const lost = await traffic.stop();
    figure(
      "Hosts: a running cluster becomes three hosts, under load",
      "no session cut; 0 rows lost, 0 reads stale",
      `${traffic.errors.length} sessions cut; ${lost.length} of ${traffic.commits.length} rows lost; ${stale} of ${all} reads stale; writes paused ${seconds(gap)}`,
    );
    expect(traffic.errors).toEqual([]);
    expect(lost).toEqual([]);
    expect(stale).toBe(0);
  });
});
