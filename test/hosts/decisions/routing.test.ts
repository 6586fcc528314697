import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { extended, rightByKey, rightByPatroni } from "../../../src/hosts/decisions/primary/right.ts";
import { readsFrom, writesTo } from "../../../src/hosts/decisions/primary/routing.ts";
import { primaryFacts, replicaFacts, seen, silent } from "../../support/observations.ts";
import { storeOf } from "../standins.ts";

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
