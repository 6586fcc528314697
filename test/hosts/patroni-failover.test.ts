import { describe, expect, test } from "vitest";
import type { FailoverParts, Seen } from "../../src/hosts/failover/parts.ts";
import { PatroniFailover } from "../../src/hosts/failover/patroni-failover.ts";
import type { StoreView } from "../../src/hosts/documents/store-view.ts";
import type { Progress } from "../../src/progress.ts";

const STORE: StoreView = {
  founded: true,
  leader: "h1",
  syncLeader: "h1",
  synchronous: ["h2", "h3"],
  paused: false,
  written: 5000,
  dynamic: undefined,
  history: [],
  members: new Map([
    ["h2", { position: 5000, pending: [] }],
    ["h3", { position: 4000, pending: [] }],
  ]),
};

/** Three hosts without servers: notes what is done, and does what a Patroni would. */
class Hosts {
  readonly done: string[] = [];
  readonly notes: string[] = [];
  seen: Seen = {
    store: STORE,
    storeAnswers: true,
    cluster: "shop",
    host: "h1",
    databases: ["h1", "h2", "h3"],
    pooled: [],
    lags: new Map([
      ["h2", 100],
      ["h3", 0],
    ]),
    writes: "h1",
    timeline: 3,
    hasDatabase: true,
    working: undefined,
  };
  /** What fails when it is done. */
  failing: string | undefined;

  readonly #note = async (what: string): Promise<void> => {
    this.done.push(what);
    if (what === this.failing) throw new Error(`${what} fails`);
    await Promise.resolve();
  };

  readonly parts: FailoverParts = {
    seen: () => this.seen,
    askPatroni: async (host, path, body) => {
      await this.#note(`ask ${host} ${path}`);
      const to = String(Reflect.get(body, "candidate"));
      this.seen = { ...this.seen, store: { ...STORE, leader: to }, writes: to };
      return { status: 200, text: "" };
    },
    checkpoint: async () => await this.#note("checkpoint"),
    pool: { rest: async () => await this.#note("rest"), resume: () => void this.done.push("resume") },
    clients: {
      hold: async (endpoint) => await this.#note(`${endpoint} clients wait`),
      goOn: async () => await this.#note("clients go on"),
    },
    newClients: {
      hold: async (host) => await this.#note(`nobody new to ${host}`),
      letIn: async () => await this.#note("new ones come in"),
    },
    data: {
      hold: async () => await this.#note("hold"),
      release: () => void this.done.push("release"),
      requireRoom: async () => await this.#note("room"),
      copyPrimary: async () => {
        await this.#note("copy");
        return "/data.new";
      },
      requireReplica: async () => await this.#note("look again"),
      stop: async () => await this.#note("stop"),
      keepAside: async () => {
        await this.#note("aside");
        return "/data.aside-1";
      },
      putInPlace: async (copy) => await this.#note(`in place: ${copy}`),
      drop: async (copy) => void this.done.push(`drop ${copy}`),
    },
    log: () => {},
  };

  readonly failover = new PatroniFailover(this.parts);
  readonly progress: Progress = {
    step: () => {},
    bytes: () => {},
    note: (text) => void this.notes.push(text),
  };
}

const force = (node: string, more: object = {}) =>
  ({ kind: "promote", node, fence: undefined, allowDataLoss: false, confirm: undefined, ...more }) as const;

describe("a switchover over hosts", () => {
  test("has clients of pooled endpoints wait, those that write no longer than they must, whatever comes of it", async () => {
    const hosts = new Hosts();
    hosts.seen = { ...hosts.seen, pooled: ["write", "read"] };
    const plan = await hosts.failover.plan({ kind: "switchover", to: undefined });
    const before = ["checkpoint", "read clients wait", "rest", "nobody new to h1", "write clients wait"];
    await hosts.failover.carryOut(plan, hosts.progress);
    const after = ["ask h1 /switchover", "clients go on", "new ones come in", "resume"];
    expect(hosts.done).toEqual([...before, ...after]);
    const failing = new Hosts();
    failing.seen = { ...failing.seen, pooled: ["write", "read"] };
    failing.failing = "ask h1 /switchover";
    await expect(failing.failover.carryOut(plan, failing.progress)).rejects.toThrow(/fails/);
    const undone = failing.done.slice(before.length + 1);
    expect(undone).toEqual(["clients go on", "new ones come in", "resume", "clients go on"]);
  });

  test("is asked of the primary's Patroni, to whoever lacks least, when nobody reads from a replica", async () => {
    const hosts = new Hosts();
    const plan = await hosts.failover.plan({ kind: "switchover", to: undefined });
    expect(hosts.done).toEqual([]);
    await hosts.failover.carryOut(plan, hosts.progress);
    expect(hosts.done).toEqual([
      "checkpoint",
      "rest",
      "nobody new to h1",
      "ask h1 /switchover",
      "new ones come in",
      "resume",
    ]);
    expect(hosts.failover.topology()).toMatchObject({
      primary: "h3",
      writes: "h3",
      authority: { kind: "store" },
    });
  });

  test("that Patroni refuses has replicas read from again", async () => {
    const hosts = new Hosts();
    hosts.failing = "ask h1 /switchover";
    const plan = await hosts.failover.plan({ kind: "switchover", to: "h2" });
    await expect(hosts.failover.carryOut(plan, hosts.progress)).rejects.toThrow("/switchover fails");
    expect(hosts.done.at(-1)).toBe("resume");
  });

  test("goes on where reads do not end in time: they end by themselves when the pool's time is over", async () => {
    const hosts = new Hosts();
    hosts.failing = "rest";
    await hosts.failover.carryOut(
      await hosts.failover.plan({ kind: "switchover", to: "h2" }),
      hosts.progress,
    );
    expect(hosts.done.at(-1)).toBe("resume");
    expect(hosts.seen.writes).toBe("h2");
  });

  test("to the primary is nothing to do", async () => {
    const hosts = new Hosts();
    expect(await hosts.failover.plan({ kind: "switchover", to: "h1" })).toMatchObject({
      steps: [],
      remark: "h1 is the primary.",
    });
  });

  test("waits until commits wait for a replica that follows, and not for one that does not", async () => {
    const hosts = new Hosts();
    hosts.seen = { ...hosts.seen, store: { ...STORE, synchronous: ["h3"] } };
    const plan = hosts.failover.plan({ kind: "switchover", to: "h2" });
    hosts.seen = { ...hosts.seen, store: STORE };
    expect((await plan).steps).not.toEqual([]);

    hosts.seen = { ...hosts.seen, store: { ...STORE, synchronous: ["h3"] }, lags: new Map([["h3", 0]]) };
    await expect(hosts.failover.plan({ kind: "switchover", to: "h2" })).rejects.toMatchObject({
      code: "refused",
      message: expect.stringContaining("commits do not wait for it"),
    });
  });
});

describe("a failover by force", () => {
  test("that may lose what was acknowledged needs the cluster's name typed", async () => {
    const hosts = new Hosts();
    hosts.seen = {
      ...hosts.seen,
      store: { ...STORE, leader: undefined, synchronous: ["h2"] },
      writes: undefined,
    };
    for (const given of [{}, { allowDataLoss: true }, { allowDataLoss: true, confirm: "shops" }])
      await expect(hosts.failover.plan(force("h3", given))).rejects.toMatchObject({
        code: "confirmation_missing",
      });
    const plan = await hosts.failover.plan(force("h3", { allowDataLoss: true, confirm: "shop" }));
    expect(plan.remark).toContain("what was acknowledged in them is lost");
    await hosts.failover.carryOut(plan, hosts.progress);
    expect(hosts.done).toEqual(["ask h3 /failover"]);
  });

  test("that loses nothing needs none", async () => {
    const hosts = new Hosts();
    hosts.seen = { ...hosts.seen, store: { ...STORE, leader: undefined }, writes: undefined };
    expect((await hosts.failover.plan(force("h2"))).remark).toBe("Nothing that was acknowledged is lost.");
  });
});

describe("another copy of the primary", () => {
  const replica = (): Hosts => {
    const hosts = new Hosts();
    hosts.seen = { ...hosts.seen, host: "h2" };
    return hosts;
  };
  const reseed = { kind: "reseed", node: "h2", discardOld: false } as const;

  test("takes the place of a replica's data after it was made, and the old is kept", async () => {
    const hosts = replica();
    await hosts.failover.carryOut(await hosts.failover.plan(reseed), hosts.progress);
    expect(hosts.done).toEqual([
      "room",
      "copy",
      "hold",
      "nobody new to h2",
      "look again",
      "stop",
      "new ones come in",
      "aside",
      "in place: /data.new",
      "release",
    ]);
    expect(hosts.notes.join()).toContain("/data.aside-1");
  });

  test("has Patroni run again whatever fails, and touches no data before the copy is there", async () => {
    for (const failing of ["copy", "look again", "stop"]) {
      const hosts = replica();
      hosts.failing = failing;
      await expect(
        hosts.failover.carryOut(await hosts.failover.plan(reseed), hosts.progress),
      ).rejects.toThrow("fails");
      expect(hosts.done).not.toContain("aside");
      expect(hosts.done.includes("hold")).toBe(hosts.done.includes("release"));
      // No copy of full size is left on the disk.
      expect(hosts.done.includes("drop /data.new")).toBe(failing !== "copy");
    }
  });

  test("is refused without room before anything is held", async () => {
    const hosts = replica();
    hosts.failing = "room";
    await expect(
      hosts.failover.carryOut(await hosts.failover.plan(reseed), hosts.progress),
    ).rejects.toThrow();
    expect(hosts.done).toEqual(["room"]);
  });

  test("is refused on the primary, on a witness, for another host, and while one is made", async () => {
    const hosts = replica();
    const refused = async (change: Partial<Seen>): Promise<void> => {
      hosts.seen = {
        ...hosts.seen,
        host: "h2",
        store: STORE,
        hasDatabase: true,
        working: undefined,
        ...change,
      };
      await expect(hosts.failover.plan(reseed)).rejects.toMatchObject({ code: "refused" });
    };
    await refused({ store: { ...STORE, leader: "h2" } });
    await refused({ store: { ...STORE, leader: undefined } });
    await refused({ hasDatabase: false });
    await refused({ host: "h3" });
    await refused({ working: "copies h1" });
  });
});

test("what a change that was cut off left is for Patroni to finish", async () => {
  const hosts = new Hosts();
  expect((await hosts.failover.plan({ kind: "finish", route: true })).steps).toEqual([]);
  expect((await hosts.failover.plan({ kind: "rejoin", node: "h2", discardOld: false })).remark).toContain(
    "by itself",
  );
  expect(hosts.failover.topology().unfinished).toBe(false);
});
