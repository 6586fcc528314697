import { readFileSync } from "node:fs";
import { join } from "node:path";
import { X509Certificate } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { beforeAll, expect, test } from "vitest";
import { waitFor } from "../../support/wait.ts";
import type { Host } from "../lab/host.ts";
import { type Lab } from "../lab/lab.ts";
import { describeOnHosts, keepLogsOfFailed } from "../on-hosts.ts";
import { DOCUMENT, type SeveralHosts } from "../several-hosts.ts";
import { AGENT, ETCD, POSTMASTER, Stage } from "./scene.ts";

const DAY = 24 * 3_600_000;
/** What whoever has a host's key can do to the hosts by writing into the store, and what removes a host. */
describeOnHosts("three hosts, and what is written into their store", () => {
  let lab: Lab;
  let several: SeveralHosts;

  beforeAll(async () => {
    ({ lab, several } = await Stage.of());
  }, 240_000);

  keepLogsOfFailed(() => several);

  /** Waits until status on a host says something. */
  async function says(host: Host, words: RegExp): Promise<void> {
    await waitFor(
      `${host.name} to say ${String(words)}`,
      async () => {
        const { stdout } = await several.run(host, "status");
        if (words.test(stdout)) return true;
        throw new Error(stdout);
      },
      { timeout: 60_000 },
    );
  }

  function serialOf(host: Host): string {
    const { serialNumber } = new X509Certificate(readFileSync(join(host.folder, "s/ha/host.crt")));
    return serialNumber.toLowerCase().replace(/^0+/, "");
  }

  const processesOf = (command: RegExp): readonly number[] =>
    lab.hosts.flatMap((host) => host.processes(command).map(({ pid }) => pid)).sort((a, b) => a - b);

  /** The primary's host, and the two others. */
  async function roles(): Promise<readonly [Host, Host, Host]> {
    await several.ready();
    const primary = await several.leader();
    const [one, other] = lab.hosts.filter((host) => host !== primary);
    if (!one || !other) throw new Error("fewer than three hosts");
    return [primary, one, other];
  }

  test("a certificate of a host that is written down as revoked stays good, each host says so, and the primary's takes it out again", async () => {
    const [primary, replica] = await roles();
    const serial = serialOf(replica);
    const before = processesOf(ETCD);
    // It would have taken it out before anybody sees it.
    primary.signal(AGENT, "SIGSTOP");
    const from = Date.now();
    await several.changeDocument((document) => ({
      ...document,
      revoked: [...document.revoked, { serial, until: from + 300 * DAY, from, address: replica.address }],
    }));
    await says(
      replica,
      new RegExp(`^The store: somebody wrote .* revoked \\(${serial}\\)\\. They stay good`, "m"),
    );
    for (const { pid } of primary.processes(AGENT)) process.kill(pid, "SIGCONT");
    await waitFor(
      "it to be taken out again",
      async () => !(await several.document()).revoked.some((one) => one.serial === serial),
      { timeout: 40_000 },
    );
    await several.ready(replica);
    expect((await several.run(replica, "status")).stdout).not.toMatch(/^The store:/m);
    expect(processesOf(ETCD)).toEqual(before);
  }, 120_000);

  test("serial numbers that nobody has shown have connections ended once, and not again for ten minutes", async () => {
    await several.ready();
    const before = processesOf(ETCD);
    const begun = processesOf(POSTMASTER);
    const from = Date.now();
    const made = (serial: string) => ({ serial, until: from + 300 * DAY, from, address: "10.77.0.99" });
    await several.changeDocument((document) => ({
      ...document,
      revoked: [...document.revoked, made("abc1")],
    }));
    await waitFor(
      "etcd to be started again on each host, one after another",
      () => before.every((pid) => !processesOf(ETCD).includes(pid)) && processesOf(ETCD).length === 3,
      { timeout: 120_000 },
    );
    await several.ready();
    const again = processesOf(ETCD);
    await several.changeDocument((document) => ({
      ...document,
      revoked: [...document.revoked, made("abc2")],
    }));
    await pause(45_000);
    expect(processesOf(ETCD)).toEqual(again);
    expect(processesOf(POSTMASTER)).toEqual(begun);
    await several.ready();
  }, 300_000);

  test("a document that nobody can read stops no server; it is told, with the way back", async () => {
    const [primary, replica] = await roles();
    const begun = processesOf(POSTMASTER);
    await several.writeDocument("{}");
    for (const host of [primary, replica])
      await says(host, /^The store: the cluster's document .* cannot be read/m);
    const refused = await several.run(replica, "leave");
    expect(refused.exitCode).not.toBe(0);
    expect(refused.stderr).toMatch(/cannot be read[^]*put the last one back/);
    expect(processesOf(POSTMASTER)).toEqual(begun);
    // As the document says.
    await primary.do([
      "sh",
      "-c",
      `cd /srv/s/ha && printf '{"key":"%s","value":"%s"}' "$(printf %s ${DOCUMENT} | base64 -w0)" "$(base64 -w0 document.json)" |
         curl -sSf --cacert ca.crt --cert host.crt --key host.key --data-binary @- https://${primary.address}:2379/v3/kv/put`,
    ]);
    for (const host of [primary, replica])
      await waitFor(
        `${host.name} to read it again`,
        async () => !/^The store:/m.test((await several.run(host, "status")).stdout),
      );
    await several.ready();
    expect(processesOf(POSTMASTER)).toEqual(begun);
  }, 120_000);

  test("a host that somebody takes out in the store says that nobody has ordered it, and comes back by leave and join", async () => {
    const [primary, , taken] = await roles();
    await several.changeDocument((document) => ({
      ...document,
      hosts: document.hosts.filter(({ name }) => name !== taken.name),
    }));
    await says(
      taken,
      /^Removed: h\d is no longer one of the cluster's hosts, and no other host knows of an order/m,
    );
    await taken.gone(POSTMASTER);
    await several.do(taken, "leave");
    await several.join(taken, primary);
    await several.ready(primary);
  }, 200_000);

  test("a host is removed while the agent of another stands still: that one learns it from the store, and the removed one says by whose order", async () => {
    const [primary, other, removed] = await roles();
    const serial = serialOf(removed);
    removed.unplug();
    await says(primary, new RegExp(`^${removed.name} .*silent for`, "m"));
    // It answered a moment ago: it is told, and does not answer.
    other.signal(AGENT, "SIGSTOP");
    await several.do(primary, "ha", "remove", removed.name, "--confirm", removed.name);
    expect(readFileSync(join(primary.folder, "s/agent.log"), "utf8")).toContain(
      `${other.name} learns from the store alone`,
    );
    for (const { pid } of other.processes(AGENT)) process.kill(pid, "SIGCONT");
    await waitFor(
      `${other.name} to write it down`,
      () => readFileSync(join(other.folder, "s/ha/revoked.json"), "utf8").includes(`"serial":"${serial}"`),
      { timeout: 40_000 },
    );
    lab.heal();
    await says(
      removed,
      new RegExp(
        `^Removed: ${removed.name} is no longer .*: it was removed by an order on ${primary.name} at 20`,
        "m",
      ),
    );
    await removed.gone(POSTMASTER);
    await several.do(removed, "leave");
    await several.join(removed, primary);
    await several.ready(primary);
  }, 280_000);
});
