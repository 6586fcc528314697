import { odooPg } from "../../src/next-step.ts";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StoredValue } from "../../src/consensus/etcd.ts";
import type { Config } from "../../src/config/schema.ts";
import { isPrimarys, mayGoAside } from "../../src/hosts/decisions/primary/aside.ts";
import { askerOf } from "../../src/hosts/decisions/certificates/asker.ts";
import { makesBackups, newestBackupElsewhere, sayBackups } from "../../src/hosts/decisions/backups.ts";
import { endsSoon, isToBeRenewed } from "../../src/hosts/decisions/certificates/certificate.ts";
import { leastMachine } from "../../src/hosts/decisions/settings/least-machine.ts";
import { memberStart } from "../../src/hosts/decisions/store/member-start.ts";
import { dynamicChange } from "../../src/hosts/decisions/settings/dynamic.ts";
import { joinRefusal, withHost, type JoinFacts } from "../../src/hosts/joining/joining.ts";
import { isAtLeast } from "../../src/hosts/programs/programs.ts";
import type { DataDirectory } from "../../src/postgres/data-directory.ts";
import type { ClusterDocument, Host } from "../../src/hosts/documents/record.ts";
import { patroniDynamic } from "../../src/hosts/render/patroni.ts";
import {
  changesBetween,
  refuseChanges,
  unfitForHosts,
  withChanges,
} from "../../src/hosts/decisions/settings/configure.ts";
import { decideFailover } from "../../src/hosts/decisions/primary/failover.ts";
import { planRestart } from "../../src/hosts/decisions/settings/restart.ts";
import { extended, rightByKey, rightByPatroni } from "../../src/hosts/decisions/primary/right.ts";
import { readsFrom, writesTo } from "../../src/hosts/decisions/primary/routing.ts";
import { hostWarnings, ownWarnings } from "../../src/hosts/decisions/host-warnings.ts";
import { type HostsStatus } from "../../src/hosts/documents/report.ts";
import { careFor, type CaredMember, leadElsewhere } from "../../src/hosts/decisions/store/store-care.ts";
import { decideSwitchover } from "../../src/hosts/decisions/primary/switchover.ts";
import { viewOfStore, type StoreView } from "../../src/hosts/documents/store-view.ts";
import { failoverVerdict } from "../../src/hosts/decisions/primary/verdict.ts";
import { warning, warningInDocument } from "../../src/model/warnings.ts";
import { resolvedConfigSchema } from "../../src/config/schema.ts";
import { primaryFacts, replicaFacts, seen, silent } from "../support/observations.ts";
import { reportingHost } from "./standins.ts";

const config: Config = resolvedConfigSchema.parse({ state_dir: "/s", listen: ["127.0.0.1"] });
const database = (number: number): Host => ({
  name: `h${number}`,
  role: "database",
  address: `10.0.0.${number}`,
});
const witness: Host = { name: "w", role: "witness", address: "10.0.0.9" };
const documentOf = (hosts: Host[]): ClusterDocument => ({
  format: 1,
  cluster: "odoo",
  system_identifier: "1",
  major: 15,
  config,
  settings: {},
  shared: {},
  restart: [],
  revoked: [],
  port: 5433,
  hosts,
});
const storeOf = (changes: Partial<StoreView> = {}): StoreView => ({
  founded: true,
  leader: "h1",
  syncLeader: "h1",
  synchronous: ["h2"],
  paused: false,
  written: undefined,
  dynamic: undefined,
  history: [],
  members: new Map(),
  ...changes,
});

describe("whether another host would take over", () => {
  const three = [database(1), database(2), witness];
  const names = three.map(({ name }) => name);
  const whole = {
    document: documentOf(three),
    store: storeOf(),
    storeAnswers: true,
    voters: names,
    answering: names,
  };

  test("two hosts with a database and a witness are ready", () => {
    expect(failoverVerdict(whole)).toEqual({ obstacles: [], away: [] });
  });

  test("two hosts are not, and what is missing is a third", () => {
    const two = [database(1), database(2)];
    const verdict = failoverVerdict({
      ...whole,
      document: documentOf(two),
      voters: ["h1"],
      answering: ["h1", "h2"],
    });
    expect(verdict.obstacles).toEqual(["needs_three_hosts"]);
  });

  test.each([
    ["the store is silent", { storeAnswers: false }, "no_majority"],
    ["it is paused", { store: storeOf({ paused: true }) }, "paused"],
    ["there is no primary", { store: storeOf({ leader: undefined }) }, "no_primary"],
    ["no replica has everything", { store: storeOf({ synchronous: [] }) }, "no_synchronous_replica"],
    ["a vote is missing", { voters: ["h1"] }, "votes_not_settled"],
    [
      "the witness is away, and the primary's host would be the second",
      { answering: ["h1", "h2"] },
      "no_majority",
    ],
  ] as const)("not when %s", (_case, change, obstacle) => {
    expect(failoverVerdict({ ...whole, ...change }).obstacles).toContain(obstacle);
  });
});

describe("where writes go", () => {
  const primary = seen("h1", primaryFacts());
  const replica = seen("h2", replicaFacts());
  const input = {
    store: storeOf(),
    storeAnswers: true,
    observations: [primary, replica],
    last: "h1",
    rightful: "h1",
    agreed: undefined,
  };

  test("to who holds the leader's key", () => {
    expect(writesTo({ ...input, last: undefined })).toBe("h1");
  });

  test("nowhere before a new leader answers as a primary", () => {
    expect(writesTo({ ...input, store: storeOf({ leader: "h2" }) })).toBeUndefined();
  });

  test("nowhere while nobody holds the key, whoever says that it is a primary", () => {
    expect(writesTo({ ...input, store: storeOf({ leader: undefined }) })).toBeUndefined();
  });

  test("to one that all agree on while only the store does not reach it, and to it as a primary alone", () => {
    const store = storeOf({ leader: undefined });
    const cut = { ...input, store, rightful: undefined, last: undefined, agreed: "h1" };
    expect(writesTo(cut)).toBe("h1");
    expect(writesTo({ ...cut, agreed: undefined })).toBeUndefined();
    expect(writesTo({ ...cut, observations: [seen("h1", replicaFacts())] })).toBeUndefined();
    expect(writesTo({ ...cut, store: storeOf({ leader: "h2" }) })).toBeUndefined();
  });

  test("where they went while the store is silent and the primary is one still", () => {
    expect(writesTo({ ...input, storeAnswers: false })).toBe("h1");
    expect(
      writesTo({ ...input, storeAnswers: false, observations: [seen("h1", replicaFacts())] }),
    ).toBeUndefined();
  });

  test("a look that failed cuts nobody, and leads nobody anew", () => {
    const observations = [silent("h1", "timeout")];
    expect(writesTo({ ...input, observations })).toBe("h1");
    expect(writesTo({ ...input, observations, last: undefined })).toBeUndefined();
  });

  test("before Patroni has taken the server over it keeps them", () => {
    const store = storeOf({ founded: false, leader: undefined });
    expect(writesTo({ ...input, store, rightful: undefined })).toBe("h1");
  });

  test("nowhere once another host may be the primary, whatever a server says of itself", () => {
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.constantFrom("h1", undefined),
        fc.constantFrom(primary, silent("h1", "timeout")),
        fc.constantFrom("h2", undefined),
        (storeAnswers, last, own, rightful) => {
          const seenNow = { ...input, storeAnswers, last, observations: [own, replica], rightful };
          expect(writesTo(seenNow)).toBeUndefined();
        },
      ),
    );
  });
});

describe("for how long nobody else can be the primary", () => {
  const patroni = (changes: object): string =>
    JSON.stringify({ state: "running", role: "primary", dcs_last_seen: 0, ...changes });

  test("shorter than the key in the store lasts", () => {
    fc.assert(
      fc.property(fc.nat(1e9), fc.nat(60), (askedAt, seconds) => {
        const { host, until } = rightByKey("h1", askedAt, seconds);
        expect(host).toBe("h1");
        expect(until).toBeLessThan(askedAt + seconds * 1000);
      }),
    );
  });

  test("by the word of Patroni only for a primary that all agree on, or that saw the store just now", () => {
    const now = 1_000_000_000;
    expect(rightByPatroni("h1", patroni({ failsafe_mode_is_active: true }), 7, now)?.until).toBeGreaterThan(
      7,
    );
    expect(rightByPatroni("h1", patroni({ dcs_last_seen: now / 1000 - 2 }), 7, now)).toBeDefined();
    expect(rightByPatroni("h1", patroni({ dcs_last_seen: now / 1000 - 9 }), 7, now)).toBeUndefined();
    expect(
      rightByPatroni("h1", patroni({ failsafe_mode_is_active: true, role: "replica" }), 7, now),
    ).toBeUndefined();
    expect(
      rightByPatroni("h1", patroni({ failsafe_mode_is_active: true, state: "stopped" }), 7, now),
    ).toBeUndefined();
    expect(rightByPatroni("h1", "not json", 7, now)).toBeUndefined();
  });

  test("never shorter by what is heard later of the same host, and the newer host counts", () => {
    const long = { host: "h1", until: 20 };
    expect(extended(long, { host: "h1", until: 10 })).toBe(long);
    expect(extended(long, { host: "h2", until: 10 })).toEqual({ host: "h2", until: 10 });
  });
});

describe("a failover by force", () => {
  const store = storeOf({
    leader: undefined,
    synchronous: ["h2"],
    written: 5000,
    members: new Map([
      ["h2", { position: 5000, pending: [] }],
      ["h3", { position: 4000, pending: [] }],
    ]),
  });
  const input = { store, storeAnswers: true, databases: ["h1", "h2", "h3"] };

  test("says what a replica lacks that commits did not wait for", () => {
    expect(decideFailover({ ...input, to: "h3" })).toEqual({ kind: "to", loses: true, lacks: 1000 });
    expect(decideFailover({ ...input, to: "h2" })).toEqual({ kind: "to", loses: false, lacks: 0 });
  });

  test("is none where a switchover does it", () => {
    const led = { ...store, leader: "h1" };
    expect(decideFailover({ ...input, store: led, to: "h2" })).toMatchObject({
      kind: "refuse",
      next: odooPg("switchover", "--to", "h2"),
    });
    expect(decideFailover({ ...input, store: led, to: "h1" })).toEqual({ kind: "nothing" });
  });

  test("needs a majority, a host with a database, and its Patroni", () => {
    for (const [changes, why] of [
      [{ to: "h2", storeAnswers: false }, /majority/],
      [{ to: "w" }, /no host/],
      [{ to: "h1" }, /does not answer/],
    ] as const)
      expect(decideFailover({ ...input, ...changes })).toMatchObject({
        kind: "refuse",
        why: expect.stringMatching(why),
      });
  });
});

describe("a restart over hosts", () => {
  const databases = ["h1", "h2", "h3"];
  const store = storeOf({ synchronous: ["h2", "h3"] });

  test("goes replicas first, and the primary last, after another has taken over", () => {
    expect(planRestart({ store, storeAnswers: true, databases, hosts: databases })).toEqual({
      kind: "steps",
      steps: [
        { kind: "restart", host: "h2" },
        { kind: "restart", host: "h3" },
        { kind: "hand over", to: "h2", from: "h1" },
      ],
    });
  });

  test("a primary is never restarted while a replica could take over, and each host once", () => {
    fc.assert(
      fc.property(
        fc.subarray(databases),
        fc.subarray(["h2", "h3"]),
        fc.constantFrom("h1", "h2"),
        (hosts, others, leader) => {
          const synchronous = others.filter((name) => name !== leader);
          const plan = planRestart({
            store: storeOf({ leader, synchronous }),
            storeAnswers: true,
            databases,
            hosts,
          });
          if (plan.kind !== "steps") throw new Error(plan.why);
          const restarted = plan.steps.map((step) => (step.kind === "restart" ? step.host : step.from));
          expect([...restarted].sort()).toEqual([...hosts].sort());
          const handed = plan.steps.findIndex((step) => step.kind === "hand over");
          expect(handed >= 0).toBe(hosts.includes(leader) && synchronous.length > 0);
          if (hosts.includes(leader)) expect(restarted.at(-1)).toBe(leader);
        },
      ),
    );
  });

  test("in place goes to the primary first, and nobody takes over", () => {
    const input = { store, storeAnswers: true, databases, hosts: databases, primary: "in place" } as const;
    expect(planRestart(input)).toEqual({
      kind: "steps",
      steps: ["h1", "h2", "h3"].map((host) => ({ kind: "restart", host })),
    });
  });

  test("waits for a primary and a majority", () => {
    for (const changes of [{ storeAnswers: false }, { store: storeOf({ leader: undefined }) }])
      expect(planRestart({ store, storeAnswers: true, databases, hosts: ["h2"], ...changes }).kind).toBe(
        "refuse",
      );
  });
});

describe("whom reads may go to", () => {
  test("only replicas that commits wait for", () => {
    expect(readsFrom(["h2", "h3"], new Set(["h3"]), { store: storeOf(), storeAnswers: true })).toEqual([
      "h2",
    ]);
  });

  test("while the store is silent nobody comes in", () => {
    expect(readsFrom(["h2", "h3"], new Set(["h3"]), { store: storeOf(), storeAnswers: false })).toEqual([
      "h3",
    ]);
  });
});

describe("whether a host may join", () => {
  const request = {
    name: "h2",
    role: "database",
    address: "10.0.0.2",
    clock: 1000,
    postgres: 15,
  } as const;
  const facts: JoinFacts = {
    document: documentOf([database(1)]),
    now: 1000,
    storeAnswers: true,
    unreachable: [],
  };

  test("one that fits may, and again after it was cut off", () => {
    expect(joinRefusal(request, facts)).toBeUndefined();
    const document = withHost(facts.document, database(2));
    expect(joinRefusal(request, { ...facts, document })).toBeUndefined();
    expect(withHost(document, database(2))).toEqual(document);
  });

  test.each([
    ["another major version", { postgres: 16 }, {}, /PostgreSQL 15/],
    ["no PostgreSQL", { postgres: null }, {}, /none/],
    ["a clock that is off", { clock: 3000 }, {}, /2\.0 s apart/],
    ["a name that is taken", { name: "h1" }, {}, /h1 already/],
    ["an address that is taken", { address: "10.0.0.1" }, {}, /address of host h1/],
    ["a name that cannot be a slot's", { name: "db-2" }, {}, /db-2/],
    ["ports that are not reached", {}, { unreachable: [2380] }, /2380/],
    ["a store without a majority", {}, { storeAnswers: false }, /majority/],
  ])("not one with %s", (_case, change, seenFacts, words) => {
    expect(joinRefusal({ ...request, ...change }, { ...facts, ...seenFacts })?.refused).toMatch(words);
  });

  test("a witness needs no PostgreSQL", () => {
    expect(joinRefusal({ ...request, role: "witness", postgres: null }, facts)).toBeUndefined();
  });
});

describe("what Patroni is told", () => {
  test("all replicas are waited for, and each has a slot that stays", () => {
    expect(patroniDynamic(["h1", "h2", "h3"], {})).toMatchObject({
      synchronous_mode: true,
      synchronous_node_count: 2,
      failsafe_mode: true,
      primary_start_timeout: 0,
      primary_stop_timeout: 8,
      slots: { h1: {}, h2: {}, h3: {} },
    });
  });

  test("alone, a server that crashed is waited for, and one that stops", () => {
    expect(patroniDynamic(["h1"], {})).toMatchObject({
      synchronous_node_count: 1,
      primary_start_timeout: 300,
      primary_stop_timeout: 0,
    });
  });

  test("a pause stays when something else is changed, and the same is written once", () => {
    const changed = dynamicChange('{"pause":true,"ttl":30}', { ttl: 20 });
    expect(JSON.parse(changed ?? "")).toEqual({ pause: true, ttl: 20 });
    expect(dynamicChange(changed, { ttl: 20 })).toBeUndefined();
  });

  test("the order of keys makes no change", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[a-z_]{1,8}$/), fc.integer()), (wanted) => {
        const reversed = Object.fromEntries(Object.entries(wanted).toReversed());
        expect(dynamicChange(JSON.stringify(reversed), JSON.parse(JSON.stringify(wanted)))).toBeUndefined();
      }),
    );
  });
});

test("versions are compared number by number", () => {
  expect(isAtLeast([4, 0, 7], [4, 0, 7])).toBe(true);
  expect(isAtLeast([4, 0, 10], [4, 0, 7])).toBe(true);
  expect(isAtLeast([4, 1, 0], [4, 0, 7])).toBe(true);
  expect(isAtLeast([4, 0, 6], [4, 0, 7])).toBe(false);
  expect(isAtLeast([3, 3, 99], [4, 0, 7])).toBe(false);
});

test("what cannot be read in the store counts as not there", () => {
  const value = (text: string): StoredValue => ({ value: text, revision: 1n, lease: undefined });
  const view = viewOfStore(
    new Map([
      ["leader", value("h1")],
      ["sync", value("not json")],
      ["members/h1", value('{"role":"primary","state":"running"}')],
      ["members/h2", value("")],
      ["config", value('{"pause":true}')],
    ]),
  );
  expect(view).toMatchObject({ leader: "h1", synchronous: [], paused: true, founded: false });
  expect([...view.members.keys()]).toEqual(["h1"]);
});

describe("who asks", () => {
  const guest = { name: "app", role: "endpoints", address: "10.0.0.9" } as const;
  const document = documentOf([database(1), witness, guest]);
  const nobody = { peer: undefined, guest: undefined, id: undefined, certificate: undefined };

  test("is a host of the cluster by the authority that signs for its kind, and only as long as it is one", () => {
    expect(askerOf(document, { ...nobody, peer: "h1" }, 0)).toEqual({ ...nobody, peer: "h1" });
    expect(askerOf(document, { ...nobody, peer: witness.name }, 0).peer).toBe(witness.name);
    expect(askerOf(document, { ...nobody, guest: "app" }, 0)).toEqual({ ...nobody, guest: "app" });
    expect(askerOf(document, { ...nobody, peer: "h2" }, 0)).toEqual(nobody);
    expect(askerOf(document, { ...nobody, guest: "h1" }, 0)).toEqual(nobody);
    expect(askerOf(document, { ...nobody, peer: "app" }, 0)).toEqual(nobody);
    expect(askerOf(document, nobody, 0)).toEqual(nobody);
  });

  test("is nobody with a certificate that was revoked, also where somebody has written the host into the document again", () => {
    const revoked = [{ serial: "b1", until: 2000, from: 1000, address: "10.0.0.1" }];
    const shown = { ...nobody, peer: "h1", certificate: { serialNumber: "0B1" } };
    expect(askerOf({ ...document, revoked }, shown, 999).peer).toBe("h1");
    expect(askerOf({ ...document, revoked }, shown, 1000)).toEqual({ peer: undefined, guest: undefined });
    const another = { ...shown, certificate: { serialNumber: "B2" } };
    expect(askerOf({ ...document, revoked }, another, 1000).peer).toBe("h1");
  });
});

describe("a host's certificate", () => {
  const day = 24 * 3_600_000;

  test("is renewed after two thirds of its year, and missed when that fails for two months", () => {
    expect([365, 121].map((days) => isToBeRenewed(days * day, 0))).toEqual([false, false]);
    expect([119, 1, -1].map((days) => isToBeRenewed(days * day, 0))).toEqual([true, true, true]);
    expect([119, 61].map((days) => endsSoon(days * day, 0))).toEqual([false, false]);
    expect([59, -1].map((days) => endsSoon(days * day, 0))).toEqual([true, true]);
  });
});

describe("a planned change of the primary", () => {
  const input = {
    store: storeOf({ synchronous: ["h2", "h3"] }),
    storeAnswers: true,
    databases: ["h1", "h2", "h3"],
    lags: new Map([
      ["h2", 100],
      ["h3", 0],
    ]),
    to: undefined,
  };

  test("goes to the replica that lacks least, or to whom it was asked for", () => {
    expect(decideSwitchover(input)).toEqual({ kind: "to", host: "h3" });
    expect(decideSwitchover({ ...input, to: "h2" })).toEqual({ kind: "to", host: "h2" });
  });

  test("to the primary itself is nothing to do", () => {
    expect(decideSwitchover({ ...input, to: "h1" })).toEqual({ kind: "nothing", host: "h1" });
  });

  test("never goes to a replica that commits do not wait for", () => {
    fc.assert(
      fc.property(
        fc.subarray(["h2", "h3"]),
        fc.option(fc.constantFrom("h1", "h2", "h3", "h4"), { nil: undefined }),
        fc.boolean(),
        (synchronous, to, storeAnswers) => {
          const decision = decideSwitchover({ ...input, store: storeOf({ synchronous }), to, storeAnswers });
          if (decision.kind === "to") expect(synchronous).toContain(decision.host);
        },
      ),
    );
  });
});

describe("a changed configuration", () => {
  const parametersOf = (parameters: Record<string, string>): Config => ({
    ...config,
    postgres: { ...config.postgres, parameters },
  });

  test("is what differs, value by value, and makes the one of the other", () => {
    const parameters = fc.dictionary(fc.constantFrom("work_mem", "a.b", "jit"), fc.constantFrom("1", "2"));
    fc.assert(
      fc.property(parameters, parameters, fc.nat(500), (before, after, wait) => {
        const [old, fresh] = [parametersOf(before), parametersOf(after)];
        const wanted = { ...fresh, endpoints: { ...fresh.endpoints, wait_seconds: 1 + wait } };
        const changes = changesBetween(old, wanted);
        expect(withChanges(old, JSON.parse(JSON.stringify(changes)))).toEqual(wanted);
        expect(changesBetween(wanted, wanted)).toEqual([]);
      }),
    );
  });

  test("leaves alone what another host's file changed", () => {
    const changes = changesBetween(parametersOf({}), parametersOf({ work_mem: "8MB" }));
    const cluster = parametersOf({ jit: "off" });
    expect(withChanges(cluster, changes)).toEqual(parametersOf({ jit: "off", work_mem: "8MB" }));
  });

  test("is refused for what is of one host", () => {
    const moved = changesBetween(config, { ...config, listen: ["127.0.0.1", "10.0.0.7"] });
    expect(refuseChanges(moved)).toMatch(/listen cannot be changed/);
    expect(refuseChanges(changesBetween(config, parametersOf({ work_mem: "8MB" })))).toBeUndefined();
  });

  test("that several hosts cannot have says why", () => {
    expect(unfitForHosts(config)).toBeUndefined();
    const upstream = { host: "192.0.2.9", port: 5432, user: "replicator", hot_standby: true };
    expect(unfitForHosts({ ...config, upstream })?.write).toBe("no `upstream`");
    // Each host with a database keeps a copy of the repository.
    const backup = { ...config.backup, any_second: { ...config.backup.any_second, enabled: true } };
    expect(unfitForHosts({ ...config, backup })).toBeUndefined();
  });
});

describe("care of the store", () => {
  const MB = 1024 * 1024;
  const member = (number: number, changes: Partial<CaredMember> = {}): CaredMember => ({
    id: `m${number}`,
    address: `10.0.0.${number}`,
    votes: true,
    isLevel: true,
    leads: number === 1,
    bytes: MB,
    inUse: MB,
    isFull: false,
    ...changes,
  });
  const quota = 256 * MB;
  const three = [member(1), member(2), member(3)];

  test("none where all is well", () => {
    expect(careFor(three, quota)).toBeUndefined();
  });

  test("a file that is mostly empty is made smaller, that of who leads last", () => {
    const sparse = { bytes: 100 * MB, inUse: 10 * MB };
    const members = [member(1, sparse), member(2, sparse), member(3)];
    expect(careFor(members, quota)).toEqual({ kind: "defragment", address: "10.0.0.2" });
    expect(careFor([member(1, sparse), member(2), member(3)], quota)).toEqual({
      kind: "defragment",
      address: "10.0.0.1",
    });
  });

  test("a full member takes writes again once it has room", () => {
    const full = { isFull: true, bytes: 250 * MB, inUse: 20 * MB };
    expect(careFor([member(1), member(2, full), member(3)], quota)).toEqual({
      kind: "defragment",
      address: "10.0.0.2",
    });
    expect(careFor([member(1), member(2, { isFull: true }), member(3)], quota)).toEqual({
      kind: "disarm",
      id: "m2",
    });
  });

  test("nothing is done while a member is away", () => {
    const members = [member(1, { bytes: 200 * MB }), member(2, { isLevel: false }), member(3)];
    expect(careFor(members, quota)).toBeUndefined();
  });

  test("it is led elsewhere than on the primary's host, by a witness before all", () => {
    const elsewhere = { primary: "10.0.0.1", witnesses: ["10.0.0.3"] };
    expect(leadElsewhere(three, elsewhere)).toEqual({ from: "10.0.0.1", id: "m3" });
    expect(leadElsewhere(three, { ...elsewhere, witnesses: [] })).toEqual({ from: "10.0.0.1", id: "m2" });
    expect(leadElsewhere(three, { ...elsewhere, primary: "10.0.0.2" })).toBeUndefined();
    expect(leadElsewhere([member(1)], elsewhere)).toBeUndefined();
  });

  test("it is so at once after a host was lost, by one that is level and votes", () => {
    const elsewhere = { primary: "10.0.0.1", witnesses: ["10.0.0.3"] };
    const lost = member(3, { isLevel: false });
    expect(leadElsewhere([member(1), member(2), lost], elsewhere)).toEqual({ from: "10.0.0.1", id: "m2" });
    expect(leadElsewhere([member(1), member(2, { votes: false }), lost], elsewhere)).toBeUndefined();
  });
});

describe("what of several hosts is worth an alarm", () => {
  const status: HostsStatus = {
    version: 1,
    cluster: "odoo",
    seen_from: "h1",
    store: { answers: true, seconds_ago: 0 },
    primary: "h1",
    synchronous: ["h2"],
    paused: false,
    failover: { ready: true, obstacles: [], away: [] },
    endpoints: { write: 5436, read: 5435 },
    removed: null,
    revoked_by_nobody: [],
    document_problem: null,
    hosts: [],
  };
  const codes = (changes: Partial<HostsStatus>): string[] =>
    hostWarnings({ ...status, ...changes }).map(({ code, node }) =>
      node === null ? code : `${code} ${node}`,
    );

  test("nothing where all is well, and no pause that somebody has ordered", () => {
    expect(codes({})).toEqual([]);
    expect(codes({ failover: { ready: false, obstacles: ["paused"], away: [] } })).toEqual([]);
  });

  test("what the primary's host sees it tells once for all", () => {
    const failover: HostsStatus["failover"] = {
      ready: false,
      obstacles: ["no_synchronous_replica"],
      away: ["h2"],
    };
    expect(codes({ failover })).toEqual(["failover_not_ready", "host_away h2"]);
    expect(codes({ failover, seen_from: "h3" })).toEqual([]);
  });

  test("a certificate that ends soon, by the clock of the host that has it", () => {
    const clock = Date.UTC(2026, 0, 1);
    const hosts = [30, 200].map((days) =>
      reportingHost(`h${days}`, { clock, certificate_ends: clock + days * 24 * 3_600_000 }),
    );
    expect(codes({ hosts })).toEqual(["host_certificate_ends h30"]);
  });

  test("an authority that ends is told more than a year before, once", () => {
    const clock = Date.UTC(2035, 0, 1);
    const hostsWith = (days: number) => [
      reportingHost("h1", { clock, authority_ends: clock + days * 24 * 3_600_000 }),
    ];
    expect(codes({ hosts: hostsWith(499) })).toEqual(["host_authority_ends"]);
    expect(codes({ hosts: hostsWith(501) })).toEqual([]);
    expect(codes({ hosts: hostsWith(499), seen_from: "h2" })).toEqual([]);
  });

  test("what a server says of nodes as if it were a cluster of one host is left out", () => {
    const found = [
      warning("writes_wait", { message: "Commits wait.", next: "Wait." }),
      warning("backup_failed", { message: "No backup.", next: "Make one." }),
    ].map((one) => warningInDocument(one, undefined));
    expect(ownWarnings(found, false).map(({ code }) => code)).toEqual(["backup_failed"]);
  });

  test("backups of a host that was the primary's before count while it answers", () => {
    const old = warningInDocument(
      warning("backup_too_old", { message: "Old.", next: "Make one." }),
      undefined,
    );
    expect(ownWarnings([old], true)).toEqual([]);
    expect(ownWarnings([old], false)).toEqual([old]);
    const host = (name: string, at: string | null, age: number) =>
      reportingHost(
        name,
        { backups: { schedule: "@daily", directory: "/b", last_good_at: at } },
        { seconds_ago: age },
      );
    const hosts = [
      host("h1", "2026-11-29T00:00:00.000Z", 0),
      host("h2", "2026-11-27T00:00:00.000Z", 1),
      host("h3", "2026-11-28T00:00:00.000Z", 60),
      host("h4", "2026-11-26T00:00:00.000Z", 1),
      host("h5", null, 1),
    ];
    expect(newestBackupElsewhere({ hosts, seen_from: "h1" })).toEqual({
      host: "h2",
      at: "2026-11-27T00:00:00.000Z",
    });
  });

  test("that there is no majority each host tells by itself", () => {
    const store = { answers: false, seconds_ago: 9 };
    for (const seen of ["h1", "h3"])
      expect(codes({ store, seen_from: seen, primary: null })).toEqual(["store_without_majority"]);
  });
});

describe("scheduled backups", () => {
  const said = (backups: unknown, primary: string | null = "h2") =>
    sayBackups({
      primary,
      hosts: [reportingHost("h2", { backups })],
    });

  test("are made by the host that writes go to, and by none while writes go nowhere", () => {
    const hosts = ["h1", "h2", "h3"];
    expect(hosts.filter((own) => makesBackups(own, "h2"))).toEqual(["h2"]);
    expect(hosts.filter((own) => makesBackups(own, undefined))).toEqual([]);
  });

  test("are said with their host, their time and their folder, or that there are none", () => {
    expect(said({ schedule: "0 3 * * *", directory: "/srv/backups" })).toBe(
      "on h2, the primary's host, by 0 3 * * *, into /srv/backups",
    );
    expect(said({ schedule: null, directory: "/srv/backups" })).toMatch(/^none by schedule on h2/);
    expect(said(undefined)).toMatch(/^on h2/);
    expect(said(null, null)).toMatch(/no primary/);
  });
});

describe("data of a host goes aside", () => {
  const data = (state: string, timeline = 3): DataDirectory => ({
    kind: "whole",
    systemIdentifier: "1",
    standby: true,
    state,
    timeline,
    floor: {},
  });
  const running = { runs: true, data: data("in archive recovery") };

  test("where the host is the primary neither by the store nor by its own word", () => {
    expect(isPrimarys("h2", "h1", seen("h2", replicaFacts()))).toBe(false);
    expect(isPrimarys("h2", "h1", silent("h2", "not_running"))).toBe(false);
    expect(isPrimarys("h2", "h2", seen("h2", replicaFacts()))).toBe(true);
    expect(isPrimarys("h2", "h1", seen("h2", primaryFacts()))).toBe(true);
  });

  test("where its server stopped as a replica, and not where it was promoted before the stop", () => {
    expect(mayGoAside(running, data("shut down in recovery"))).toBe(true);
    expect(mayGoAside(running, data("in archive recovery"))).toBe(true);
    for (const state of ["shut down", "in production", "shutting down", "in crash recovery"])
      expect(mayGoAside(running, data(state, 4))).toBe(false);
    expect(mayGoAside(running, { kind: "unusable", reason: "no control file", next: "look" })).toBe(false);
  });

  test("where no server ran on it, such as an old primary's that cannot follow, unless one began meanwhile", () => {
    const old = { runs: false, data: data("in production") };
    expect(mayGoAside(old, data("in production"))).toBe(true);
    expect(mayGoAside(old, data("shut down"))).toBe(false);
    expect(mayGoAside(old, data("in production", 4))).toBe(false);
    const damaged: DataDirectory = { kind: "unusable", reason: "no control file", next: "look" };
    expect(mayGoAside({ runs: false, data: damaged }, damaged)).toBe(true);
  });
});

describe("the member of the first host", () => {
  const [own, other] = [
    { name: "h1", url: "https://10.0.0.1:2380", votes: true },
    { name: "h2", url: "https://10.0.0.2:2380", votes: true },
  ];
  const first = { state: "new", members: { h1: own.url } } as const;

  test("begins a store as long as it is alone, or another has no vote yet", () => {
    expect(memberStart(first, [own], own)).toBeUndefined();
    expect(memberStart(first, [own, { ...other, votes: false }], own)).toBeUndefined();
  });

  test("never begins one again once another votes", () => {
    const next = memberStart(first, [own, other], own);
    expect(next).toEqual({ state: "existing", members: { h1: own.url, h2: other.url } });
    expect(memberStart(next, [own, other], own)).toBeUndefined();
  });

  test("of another host joins as one of those that are there, its own without a name yet", () => {
    const members = [own, { ...other, name: "", votes: false }];
    expect(memberStart(undefined, members, other)).toEqual({
      state: "existing",
      members: { h1: own.url, h2: other.url },
    });
    expect(memberStart(undefined, [own], other)).toBeUndefined();
  });
});

describe("for which machine settings are chosen", () => {
  const host = (name: string, machine: unknown, role: "database" | "witness" = "database") =>
    reportingHost(name, { machine }, { role });
  const GB = 1024 ** 3;

  test("for what every host with a database has at least: each may be the primary", () => {
    const hosts = [
      host("h1", { memory_bytes: 64 * GB, cpus: 4, disk: "ssd" }),
      host("h2", { memory_bytes: 16 * GB, cpus: 16, disk: "hdd" }),
      host("w", { memory_bytes: GB, cpus: 1, disk: "ssd" }, "witness"),
      { ...host("h3", null), report: null },
    ];
    expect(leastMachine({ hosts })).toEqual({
      memoryBytes: 16 * GB,
      cpus: 4,
      disk: "hdd",
      of: ["h1", "h2"],
      unknown: ["h3"],
    });
  });

  test("for none where no host says", () => {
    expect(leastMachine({ hosts: [host("h1", null)] })).toBeUndefined();
  });
});
