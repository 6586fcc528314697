import { execFileSync } from "node:child_process";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  believedRevocations,
  endsConnections,
  formerAddresses,
  revokedNow,
  sessionsToEnd,
  withOwnCertificate,
  withRevoked,
} from "../../src/hosts/decisions/certificates/revocation.ts";
import {
  hasManyOfLate,
  withKnownOwners,
  withSeen,
  withShown,
  type SeenCertificates,
} from "../../src/hosts/decisions/certificates/seen.ts";
import { isTurnOf } from "../../src/hosts/decisions/store/store-turn.ts";
import {
  documentSchema,
  MOST_CERTIFICATES,
  revokedSchema,
  type ClusterDocument,
  type Host,
  type HostRecord,
  type RevokedCertificate,
} from "../../src/hosts/documents/record.ts";
import { hostRules } from "../../src/hosts/render/server.ts";
import { noteOf, serialsIn, writeRevocations } from "../../src/hosts/joining/authority.ts";
import { withHost, withoutHost } from "../../src/hosts/joining/joining.ts";
import { readTextIfAny } from "../../src/system/files/files.ts";
import { withCertificate } from "./authority.ts";
import { documentOf } from "./standins.ts";

const YEAR = 365 * 24 * 3_600_000;
const of = (serial: string, until = YEAR) => ({ serial, until });
const db1: Host = {
  name: "db1",
  role: "database",
  address: "10.0.0.1",
  id: "a".repeat(16),
  certificates: [of("a1")],
};
const db2: Host = {
  name: "db2",
  role: "database",
  address: "10.0.0.2",
  id: "b".repeat(16),
  certificates: [of("b1"), of("b2")],
};

const serials = (document: ClusterDocument, now: number): string[] =>
  revokedNow(document, now)
    .map(({ serial }) => serial)
    .sort();

const removed = (document: ClusterDocument, name: string, seen = {}, from = 0): ClusterDocument =>
  withoutHost(withRevoked(document, { name, from, seen }, 0), name);

test("all certificates of a host that is removed are revoked, and those of nobody else", () => {
  const after = removed(documentOf(db1, db2), "db2");
  expect(serials(after, 0)).toEqual(["b1", "b2"]);
  expect(formerAddresses(after)).toEqual(["10.0.0.2"]);
  // Twice is once.
  expect(removed(withHost(after, { ...db2, certificates: [of("b3")] }), "db2").revoked).toHaveLength(3);
});

test("one that leaves by itself has time to see that it has", () => {
  const after = removed(documentOf(db1, db2), "db2", {}, 1000);
  expect(serials(after, 999)).toEqual([]);
  expect(serials(after, 1000)).toEqual(["b1", "b2"]);
});

test("whoever writes into the store neither hides a certificate from being revoked nor has another host's revoked", () => {
  const seen = withSeen(withSeen({}, documentOf(db1), 0), documentOf(db1, db2), 0);
  fc.assert(
    fc.property(fc.subarray([of("b1"), of("b2"), of("a1"), of("b9")]), fc.boolean(), (left, moved) => {
      const certificates = [of("a1"), ...(moved ? [of("b1"), of("b2")] : [])];
      const hostile = documentOf({ ...db1, certificates }, { ...db2, certificates: left });
      const after = removed(hostile, "db2", withSeen(seen, hostile, 0));
      expect(serials(after, 0)).toEqual(expect.arrayContaining(["b1", "b2"]));
      expect(serials(after, 0)).not.toContain("a1");
    }),
  );
});

test("a name that is given to another machine revokes what the one before had", () => {
  const before = documentOf(db1, db2);
  const again = { ...db2, id: "c".repeat(16), certificates: [of("c1")] };
  const after = withHost(withRevoked(before, { name: "db2", from: 0, seen: {} }, 0), again);
  expect(serials(after, 0)).toEqual(["b1", "b2"]);
  expect(after.hosts.find(({ name }) => name === "db2")?.certificates).toEqual([of("c1")]);
  // It is at that address now.
  expect(formerAddresses(after)).toEqual([]);
});

test("a certificate that has ended needs no mention", () => {
  const after = removed(documentOf(db1, db2), "db2");
  const third: Host = { name: "db3", role: "witness", address: "10.0.0.3" };
  const later = withRevoked(withHost(after, third), { name: "db3", from: YEAR, seen: {} }, YEAR + 1);
  expect(later.revoked).toEqual([]);
});

/** Entries as somebody writes them who wants to have them counted. */
const madeUp = (count: number, from = 0): RevokedCertificate[] =>
  Array.from({ length: count }, (_, index) => ({
    serial: (0xf0_0000 + index).toString(16),
    until: 253_402_300_799_000,
    from,
    address: "10.9.9.9",
  }));

const shownBy = (host: Host, seen: SeenCertificates = {}): SeenCertificates =>
  (host.certificates ?? []).reduce(
    (before, certificate) =>
      withShown(before, certificate, { name: host.name, id: host.id, address: host.address }),
    seen,
  );

const isOf =
  (host: Host) =>
  ({ serial }: { serial: string }) =>
    host.certificates?.some((one) => one.serial === serial) === true;

test("what a host has revoked stays revoked until it ends, whatever is written into the store after that", () => {
  const before = documentOf(db1, db2);
  const seen = withSeen({}, before, 0);
  const honest = removed(before, "db2", seen);
  const kept = believedRevocations(honest, { kept: [], seen, own: "a1" }, 0).revoked;
  const anyRevoked = fc.array(
    fc.record({
      serial: fc.constantFrom("a1", "b1", "b2", "c1", "d1"),
      until: fc.constantFrom(1, YEAR, 253_402_300_799_000),
      from: fc.constantFrom(0, YEAR, 253_402_300_799_000),
      address: fc.constantFrom("10.0.0.1", "10.0.0.2"),
    }),
  );
  fc.assert(
    fc.property(anyRevoked, fc.boolean(), fc.boolean(), (revoked, again, flood) => {
      const hosts = again ? [db1, db2] : [db1];
      const hostile = { ...documentOf(...hosts), revoked: flood ? [...madeUp(3000), ...revoked] : revoked };
      const now = 1000;
      const believed = believedRevocations(hostile, { kept, seen, own: "a1" }, now);
      const serialsNow = revokedNow(believed, now).map(({ serial }) => serial);
      expect(serialsNow).toEqual(expect.arrayContaining(["b1", "b2"]));
      expect(serialsNow).not.toContain("a1");
      // Nobody is told that what was revoked here stays good.
      expect(believed.leftOut.filter((serial) => serial !== "a1")).toEqual([]);
      expect(believed.revoked.length).toBeLessThanOrEqual(MOST_CERTIFICATES);
      // The same list again changes nothing.
      const next = believedRevocations(hostile, { kept: believed.revoked, seen, own: "a1" }, now);
      expect(next.revoked.map(({ serial }) => serial).sort()).toEqual(
        believed.revoked.map(({ serial }) => serial).sort(),
      );
      // After their end they need no mention.
      const later = { kept: believed.revoked, seen, own: "a1" };
      expect(believedRevocations(documentOf(db1), later, 2 * YEAR).revoked).toEqual([]);
    }),
  );
});

test("a removal says on which host it was ordered, and takes up no name that is none", () => {
  const before = documentOf(db1, db2);
  const { revoked } = withRevoked(before, { name: "db2", from: 5, by: "db1", seen: {} }, 0);
  expect(revoked.map(({ by, from }) => ({ by, from }))).toEqual(
    Array.from({ length: 2 }, () => ({ by: "db1", from: 5 })),
  );
  expect(revokedSchema.parse({ ...revoked[0], by: "<b>" }).by).toBeUndefined();
});

test("one write that revokes everybody revokes nobody that is listed, and is told", () => {
  const db3: Host = {
    ...db2,
    name: "db3",
    address: "10.0.0.3",
    id: "c".repeat(16),
    certificates: [of("c1")],
  };
  const whole = documentOf(db1, db2, db3);
  const seen = withSeen({}, whole, 0);
  const all = ["a1", "b1", "b2", "c1"];
  const revoked = [...all, "e1"].map((serial) => ({ serial, until: YEAR, from: 0, address: "10.0.0.1" }));
  for (const certificates of [undefined, [], [of("e1")]]) {
    const hosts = whole.hosts.map((host) => ({ ...host, certificates }));
    const believed = believedRevocations({ hosts, revoked }, { kept: [], seen, own: "a1" }, 0);
    expect(believed.revoked.map(({ serial }) => serial)).toEqual(["e1"]);
    expect(believed.leftOut).toEqual(all);
  }
  // Another machine that was given the name does not keep what the one before had.
  const hosts = whole.hosts.map((host) => (host.name === "db2" ? { ...host, id: "d".repeat(16) } : host));
  const believed = believedRevocations({ hosts, revoked }, { kept: [], seen, own: "a1" }, 0);
  expect(believed.revoked.map(({ serial }) => serial)).toEqual(["b1", "b2", "e1"]);
});

test("made-up entries push out no certificate that a host has shown, in whichever order they come", () => {
  const names = Array.from({ length: 10 }, (_, index) => `f${index}`);
  const hosts = names.map((name, index): Host => ({
    name,
    role: "database",
    address: `10.1.0.${index}`,
    certificates: madeUp(200).map(({ serial, until }) => ({ serial: `${index}${serial}`, until })),
  }));
  const real = documentOf(db1, db2);
  for (const isFirst of [true, false]) {
    // Made-up hosts, whose certificates are seen before or after those that exist, and are then all revoked.
    const flood = (seen: SeenCertificates): SeenCertificates => withSeen(seen, documentOf(...hosts), 0);
    const shown = (seen: SeenCertificates): SeenCertificates => shownBy(db2, shownBy(db1, seen));
    const seen = isFirst ? shown(flood({})) : flood(shown({}));
    const made = Object.entries(seen)
      .filter(([, { host }]) => host.startsWith("f"))
      .map(([serial, { until }]) => ({ serial, until, from: 0, address: "10.1.0.1" }));
    expect(made.length).toBeGreaterThan(MOST_CERTIFICATES);
    const kept = believedRevocations({ hosts: real.hosts, revoked: made }, { kept: [], seen, own: "a1" }, 0);
    const stored = { ...real, revoked: kept.revoked };
    const after = removed(stored, "db2", seen);
    expect(after.revoked).toHaveLength(MOST_CERTIFICATES);
    expect(after.revoked.filter(isOf(db2))).toHaveLength(2);
    const there = believedRevocations(after, { kept: kept.revoked, seen, own: "a1" }, 0);
    expect(there.revoked.filter(isOf(db2))).toHaveLength(2);
  }
});

test("a list that somebody has poisoned takes nothing else out of the document, and names each number once", () => {
  const { revoked: _none, ...rest } = documentOf(db1, db2);
  const entry = { until: YEAR, from: 5, address: "10.0.0.2" };
  const poison = [
    { ...entry, serial: "a1" },
    { ...entry, serial: "0a1", from: 3 },
    { ...entry, serial: "000000a1", until: YEAR + 1 },
    { ...entry, serial: "x" },
    { ...entry, serial: "b1", address: "10.0.0.2\nhost all all all trust" },
    { ...entry, serial: "b2", until: -1 },
    "nonsense",
    null,
    { ...entry, serial: "b3" },
  ];
  const parsed = documentSchema.parse({ ...rest, revoked: poison });
  expect(parsed.revoked).toEqual([
    { serial: "a1", until: YEAR + 1, from: 3, address: "10.0.0.2" },
    { ...entry, serial: "b3" },
  ]);
  expect(parsed.hosts).toEqual([db1, db2]);
  expect(documentSchema.parse({ ...rest, revoked: madeUp(3000) }).revoked).toHaveLength(3000);
  for (const revoked of [undefined, "x", {}, 7])
    expect(documentSchema.parse({ ...rest, revoked }).revoked).toEqual([]);
  const hosts = [
    { ...db1, certificates: [of("0a1"), { serial: 1 }, ...Array.from({ length: 2000 }, () => of("a2"))] },
  ];
  expect(documentSchema.parse({ ...rest, hosts }).hosts[0]?.certificates?.[0]).toEqual(of("a1"));
});

test("what is seen has a bound, but for what the authority has signed, and the certificate itself says whose it is", () => {
  const flood = (name: string, count: number): Host => ({
    name,
    role: "database",
    address: "10.0.0.9",
    certificates: Array.from({ length: count }, (_, index) => of(`${name.slice(1)}f${index.toString(16)}`)),
  });
  const many = Array.from({ length: 30 }, (_, index) => ({
    ...flood(`h${index + 10}`, 400),
    address: `10.0.1.${index}`,
  }));
  const seen = many.reduce(
    (before, host) => withSeen(before, documentOf(host), 0),
    {} satisfies SeenCertificates,
  );
  expect(Object.keys(seen)).toHaveLength(2000);
  const shown = shownBy(db2, seen);
  expect(shown).toMatchObject({ b1: { host: "db2", shown: true }, b2: { host: "db2", shown: true } });
  // Said of another host before it was shown.
  const false1 = withSeen({}, documentOf({ ...db1, certificates: [of("b1", 5)] }, db2), 0);
  expect(false1["b1"]?.host).toBe("db1");
  expect(shownBy(db2, false1)["b1"]).toMatchObject({ host: "db2", id: db2.id, until: YEAR });
  expect(shownBy({ ...db1, certificates: [of("b1")] }, shownBy(db2))["b1"]?.host).toBe("db2");
  // A new host is not told it either.
  const told = withKnownOwners(documentOf({ ...db1, certificates: [of("a1"), of("b1")] }, db2), shownBy(db2));
  expect(told.hosts.map(({ certificates }) => certificates)).toEqual([[of("a1")], [of("b1"), of("b2")]]);
  // What has ended goes.
  expect(Object.keys(withSeen(shown, documentOf(db1), YEAR))).toEqual([]);
  const late = (count: number): SeenCertificates =>
    Object.fromEntries(
      Array.from({ length: count }, (_, index) => [`a${index}`, { host: "w", until: YEAR, shown: true }]),
    );
  expect(hasManyOfLate(late(10), "w", 0, YEAR)).toBe(true);
  expect(hasManyOfLate(late(9), "w", 0, YEAR)).toBe(false);
  expect(hasManyOfLate(late(10), "db1", 0, YEAR)).toBe(false);
});

test("connections end at once for what a host has shown, and not by the minute for numbers that somebody makes up", () => {
  const seen = shownBy(db2, withSeen({}, documentOf(db1), 0));
  expect(endsConnections([], seen, Infinity)).toBe(false);
  expect(endsConnections(["b1"], seen, 0)).toBe(true);
  for (const serial of ["a1", "f7", "constructor"]) {
    expect(endsConnections([serial], seen, 599_999)).toBe(false);
    expect(endsConnections([serial], seen, 600_000)).toBe(true);
  }
});

test("sessions from where a removed host was end, and none from elsewhere, whatever is written into the store", () => {
  const app: Host = { name: "app", role: "endpoints", address: "10.0.0.4", certificates: [of("c1")] };
  const seen = shownBy(app, shownBy(db2, shownBy(db1)));
  const whole = documentOf(db1, db2, app);
  expect(sessionsToEnd(whole, seen, new Map())).toEqual(new Map());
  const after = removed(whole, "db2", seen, 1000);
  expect(sessionsToEnd(after, seen, new Map())).toEqual(new Map([["10.0.0.2", 61_000]]));
  // One with endpoints alone has no certificate that is revoked.
  const without = withoutHost(whole, "app");
  expect(sessionsToEnd(without, seen, new Map([["10.0.0.4", 5000]]))).toEqual(
    new Map([["10.0.0.4", 65_000]]),
  );
  // Another host is there by now.
  const again = withHost(after, { ...db2, name: "db3", id: "d".repeat(16) });
  expect(sessionsToEnd(again, seen, new Map([["10.0.0.2", 5000]]))).toEqual(new Map());
  // A client's address is no host's.
  const hostile = { hosts: [db1, db2, app], revoked: madeUp(5) };
  expect(sessionsToEnd(hostile, seen, new Map([["10.9.9.9", 5000]]))).toEqual(new Map());
});

test("each host notes its own certificate once, and no other machine does it for it", () => {
  const record: HostRecord = { format: 1, cluster: "odoo", ...db2, node: "db2", store: [] };
  const noted = withOwnCertificate(documentOf(db1, db2), record, of("b3"));
  expect(noted?.hosts[1]?.certificates).toEqual([of("b1"), of("b2"), of("b3")]);
  expect(noted && withOwnCertificate(noted, record, of("b3"))).toBeUndefined();
  expect(
    withOwnCertificate(documentOf(db1, db2), { ...record, id: "d".repeat(16) }, of("d1")),
  ).toBeUndefined();
});

test("nothing replicates from where a removed host was, also where a network of clients holds that address", () => {
  const rules = hostRules(removed(documentOf(db1, db2), "db2"), "postgres", []);
  expect(rules[0]).toBe('host all,replication replicator "10.0.0.2/32" reject');
  expect(hostRules(documentOf(db1, db2), "postgres", []).join("\n")).not.toContain("all,replication");
});

test("at no moment do two members of the store stop, nor one without which the others have no majority", () => {
  const member = fc.record({ isLearner: fc.boolean(), isLevel: fc.boolean() });
  fc.assert(
    fc.property(fc.array(member, { minLength: 1, maxLength: 7 }), fc.nat(), (flags, now) => {
      const members = flags.map((flag, index) => ({ ...flag, address: `10.0.0.${index}` }));
      const voters = members.filter(({ isLearner }) => !isLearner);
      const stopping = voters.filter(({ address }) => isTurnOf(address, members, now));
      expect(stopping.length).toBeLessThanOrEqual(1);
      const rest = voters.filter((voter) => voter.isLevel && !stopping.includes(voter)).length;
      if (stopping.length && voters.length > 1) expect(rest).toBeGreaterThan(voters.length / 2);
    }),
  );
  const whole = ["a", "b", "c"].map((address) => ({ address, isLearner: false, isLevel: true }));
  for (const { address } of whole)
    expect([0, 10_000, 20_000].filter((now) => isTurnOf(address, whole, now))).toHaveLength(1);
  // One that is stopped late is back before the next one's clock, be it a second ahead, says that it is its turn.
  fc.assert(
    fc.property(fc.nat(60_000), fc.integer({ min: 0, max: 7000 }), (now, later) => {
      const stopping = whole.filter(({ address }) => isTurnOf(address, whole, now));
      const others = whole.filter((member) => !stopping.includes(member));
      if (stopping.length)
        expect(others.filter(({ address }) => isTurnOf(address, whole, now + later))).toEqual([]);
    }),
  );
});

test("the list is one that openssl takes, signed by the authority, and is written where it says something else alone", async () => {
  const { files, identity } = await withCertificate(db2);
  const { certificate } = identity;
  expect(await writeRevocations(files, [])).toBe(true);
  expect(await writeRevocations(files, [])).toBe(false);
  const verify = (): string =>
    execFileSync(
      "openssl",
      ["verify", "-crl_check", "-x509_strict", "-CAfile", files.patroniAuthority, files.certificate],
      {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
  expect(verify()).toContain("OK");
  expect(await writeRevocations(files, [noteOf(certificate)])).toBe(true);
  expect(await writeRevocations(files, [noteOf(certificate)])).toBe(false);
  expect(verify).toThrow(/revoked/);
  expect(await readTextIfAny(files.revocations)).toMatch(/^-----BEGIN X509 CRL-----\n/);
  // A poisoned list is one that is made all the same.
  const { serial } = noteOf(certificate);
  const poisoned = [`00${serial}`, serial, "a1", "0a1", "00000a1"].map((number) => of(number));
  expect(await writeRevocations(files, [...poisoned, ...madeUp(2000)])).toBe(true);
  expect(verify).toThrow(/revoked/);
  expect(serialsIn((await readTextIfAny(files.revocations)) ?? "")).toContain(serial);
});
