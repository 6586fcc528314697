import { execFileSync } from "node:child_process";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  formerAddresses,
  revokedNow,
  withOwnCertificate,
  withRevoked,
  withSeen,
} from "../../src/hosts/decisions/revocation.ts";
import { isTurnOf } from "../../src/hosts/decisions/store-turn.ts";
import { hostFiles } from "../../src/hosts/documents/files.ts";
import { layoutOf } from "../../src/config/layout.ts";
import { type ClusterDocument, type Host, type HostRecord } from "../../src/hosts/documents/record.ts";
import { hostRules } from "../../src/hosts/render/server.ts";
import {
  ensureHostAuthorities,
  newRequest,
  noteOf,
  signRequest,
  writeRevocations,
} from "../../src/hosts/joining/authority.ts";
import { withHost, withoutHost } from "../../src/hosts/joining/joining.ts";
import { ensureDirectory, readTextIfAny, writeFileAtomic } from "../../src/system/files/files.ts";
import { documentOf } from "./standins.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

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
  const seen = withSeen(withSeen({}, documentOf(db1)), documentOf(db1, db2));
  fc.assert(
    fc.property(fc.subarray([of("b1"), of("b2"), of("a1"), of("b9")]), fc.boolean(), (left, moved) => {
      const certificates = [of("a1"), ...(moved ? [of("b1"), of("b2")] : [])];
      const hostile = documentOf({ ...db1, certificates }, { ...db2, certificates: left });
      const after = removed(hostile, "db2", withSeen(seen, hostile));
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
});

test("the list is one that openssl takes, signed by the authority, and is written where it says something else alone", async () => {
  const files = hostFiles(layoutOf(`${temporaryFolder()}/state`));
  await ensureDirectory(files.dir, { mode: 0o755 });
  await ensureHostAuthorities(files, "odoo");
  const certificate = await signRequest(files, await newRequest(files, "db2", undefined), db2);
  await writeFileAtomic(files.certificate, certificate);
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
});
