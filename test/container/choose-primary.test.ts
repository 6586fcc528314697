import { describe, expect, it } from "vitest";
import type { ServerFacts } from "../../src/model/observation.ts";
import { choosePrimary } from "../../src/container/choose-primary.ts";
import { primaryFacts, seen as seenAs, silent as silentAs } from "../support/observations.ts";

const SYSTEM = primaryFacts().system_identifier;
const seen = (name: string, changes: Partial<ServerFacts>) => seenAs(name, primaryFacts(changes));
const silent = (name: string) => silentAs(name, "not_running");

const first = { name: "a", timeline: 1, systemIdentifier: SYSTEM };

describe("where writes go, of nodes that others run", () => {
  it("is nowhere until a primary answers", () => {
    expect(choosePrimary([silent("a"), seen("b", { in_recovery: true })], undefined)).toBeUndefined();
  });

  it("is the node that answers as a primary", () => {
    const looks = [seen("a", { in_recovery: false, timeline: 1 }), seen("b", { in_recovery: true })];
    expect(choosePrimary(looks, undefined)).toEqual(first);
  });

  it("stays where it is while no primary answers", () => {
    expect(choosePrimary([silent("a"), seen("b", { in_recovery: true })], first)).toEqual(first);
  });

  it("goes to the node that was promoted, and not back to the old primary", () => {
    const old = seen("a", { in_recovery: false, timeline: 1 });
    const promoted = seen("b", { in_recovery: false, timeline: 2 });
    const chosen = choosePrimary([old, promoted], first);
    expect(chosen).toEqual({ name: "b", timeline: 2, systemIdentifier: SYSTEM });
    expect(choosePrimary([old, silent("b")], chosen)).toEqual(chosen);
  });

  it("never goes to a primary of another cluster", () => {
    const other = seen("b", { in_recovery: false, timeline: 9, system_identifier: "1" });
    expect(choosePrimary([silent("a"), other], first)).toEqual(first);
  });
});
