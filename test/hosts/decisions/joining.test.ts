import { describe, expect, test } from "vitest";
import { askerOf } from "../../../src/hosts/decisions/certificates/asker.ts";
import { endsSoon, isToBeRenewed } from "../../../src/hosts/decisions/certificates/certificate.ts";
import { joinRefusal, withHost, type JoinFacts } from "../../../src/hosts/joining/joining.ts";
import { isAtLeast } from "../../../src/system/program-version.ts";
import { database, documentOf, witness } from "../standins.ts";

describe("whether a host may join", () => {
  const request = {
    name: "h2",
    role: "database",
    address: "10.0.0.2",
    clock: 1000,
    postgres: 15,
  } as const;
  const facts: JoinFacts = {
    document: { ...documentOf(database(1)), major: 15 },
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

test("versions are compared number by number", () => {
  expect(isAtLeast([4, 0, 7], [4, 0, 7])).toBe(true);
  expect(isAtLeast([4, 0, 10], [4, 0, 7])).toBe(true);
  expect(isAtLeast([4, 1, 0], [4, 0, 7])).toBe(true);
  expect(isAtLeast([4, 0, 6], [4, 0, 7])).toBe(false);
  expect(isAtLeast([3, 3, 99], [4, 0, 7])).toBe(false);
});

describe("who asks", () => {
  const guest = { name: "app", role: "endpoints", address: "10.0.0.8" } as const;
  const document = documentOf(database(1), witness, guest);
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
