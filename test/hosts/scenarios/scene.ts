import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect } from "vitest";
import { figure, seconds } from "../../faults/figures.ts";
import { overlapsOf, termsOf } from "../../faults/terms.ts";
import { program } from "../../support/program.ts";
import { waitFor } from "../../support/wait.ts";
import type { Host } from "../lab/host.ts";
import { Comers } from "../lab/comers.ts";
import type { Lab } from "../lab/lab.ts";
import { makeLab } from "../on-hosts.ts";
import { Strays } from "../lab/strays.ts";
import { Traffic } from "../lab/traffic.ts";
import { SeveralHosts } from "../several-hosts.ts";

/** Of a host's processes. */
export const POSTMASTER = /^\S*\/postgres -D/;
export const SERVER = /^postgres: |^\S*\/postgres -D/;
export const REPLAY = /^postgres: .*startup/;
export const PATRONI = /bin\/patroni /;
export const ETCD = /bin\/etcd /;
export const AGENT = /odoo-pg\.mjs agent/;

/** Milliseconds that a fault lasts at least, and until clients are looked at after it. */
const LASTING = 1500;

/** What a fault happens to. Clients are on `other`, which keeps its parts. */
export interface Scene {
  readonly lab: Lab;
  readonly several: SeveralHosts;
  readonly primary: Host;
  readonly replica: Host;
  readonly other: Host;
}

export interface Fault {
  readonly name: string;
  /** What the promise is, for the table. */
  readonly passes: string;
  /** Where clients are, if not on a host that keeps its parts. */
  readonly clients?: "primary";
  readonly happens: (scene: Scene) => Promise<void> | void;
  /** Milliseconds that it lasts, where that is more than until writes go on. */
  readonly lasts?: number;
  readonly ends?: (scene: Scene) => Promise<void> | void;
  /** What else must be so when all is well again. */
  readonly afterwards?: (scene: Scene) => Promise<void> | void;
  /** Whether it is a stop by plan, of which clients that connect anew see nothing but that they wait. */
  readonly planned?: true;
  /** Most milliseconds between two acknowledged rows; twice that on a busy machine. */
  readonly most: number;
}

/** Several hosts that things happen to, one after another. */
export class Stage {
  readonly lab: Lab;
  readonly several: SeveralHosts;

  private constructor(lab: Lab, several: SeveralHosts) {
    this.lab = lab;
    this.several = several;
  }

  /** Makes three hosts of one that ran; the last is a witness where `witness`. What is done `before` belongs to their disks. Gone at the end of the present scope. */
  static async of(
    options: { readonly witness?: boolean; readonly before?: (lab: Lab) => Promise<void> } = {},
  ): Promise<Stage> {
    const begin = performance.now();
    const lab = await makeLab("h1", "h2", "h3");
    await options.before?.(lab);
    const several = await SeveralHosts.start(lab, program(), options);
    figure(
      `Hosts: three empty hosts made highly available${options.witness === true ? ", one of them a witness" : ""}`,
      "status says ready",
      seconds(performance.now() - begin),
    );
    return new Stage(lab, several);
  }

  /** Waits until every host has its part, and says which. */
  async scene(): Promise<Scene> {
    const { lab, several } = this;
    await several.ready();
    const primary = await several.storeLedElsewhere();
    const [replica, other = replica] = several.databases.filter((host) => host !== primary);
    if (!replica || !other) throw new Error("there is no replica");
    return { lab, several, primary, replica, other };
  }

  /** Lets a fault happen while clients write and read, and others write past the endpoints. */
  async suffers({ name, passes, clients, happens, lasts = LASTING, ends, afterwards, planned, most }: Fault) {
    const scene = await this.scene();
    const { several } = scene;
    const logs = join("test-output/hosts", name.replaceAll(/\W+/g, "-"));
    const other = clients === "primary" ? scene.primary : scene.other;
    const [write, read] = [await several.endpoint(other, "write"), await several.endpoint(other, "read")];
    const traffic = await Traffic.start(write, read);
    const strays = await Strays.start(
      write,
      several.databases.map((host) => several.ownServer(host)),
    );
    const comers = planned && new Comers(await several.endpoints(several.databases));
    try {
      await waitFor("reads from replicas", () => traffic.reads.slice(-20).some(({ byReplica }) => byReplica));
      const since = performance.now();
      await happens(scene);
      await pause(lasts);
      await traffic.goesOn(90_000);
      await pause(LASTING);
      await ends?.(scene);
      await several.ready(other);
      await traffic.goesOn();
      await afterwards?.(scene);
      const gap = traffic.longestGap(since);
      const { all, stale, byReplica } = traffic.readsSince(since);
      if (gap > most) several.keepLogs(logs);
      const lost = [...(await traffic.stop()), ...(await strays.stop(write))];
      const commits = [...traffic.commits, ...strays.commits];
      figure(
        `Hosts: ${name}`,
        passes,
        `${lost.length} of ${commits.length} rows lost; ${stale} of ${all} reads stale; writes paused ${seconds(gap)}`,
      );
      expect(lost, "acknowledged rows that are missing").toEqual([]);
      expect(stale, "reads that lack an acknowledged row").toBe(0);
      expect(byReplica).toBeGreaterThan(0);
      expect(overlapsOf(termsOf(commits)), "two hosts accepted commits at once").toEqual([]);
      await comers?.stop();
      expect(comers?.failures ?? [], "clients that connect anew, and were not served").toEqual([]);
      expect(traffic.refused, "clients that were refused, where they should wait").toEqual([]);
      expect(gap, "longest time without an acknowledged row").toBeLessThan(2 * most);
    } catch (error) {
      several.keepLogs(logs);
      throw error;
    } finally {
      this.lab.heal();
      await comers?.stop();
      await traffic.stop().catch(() => []);
      await strays.stop(write).catch(() => []);
    }
  }
}
