import { describe, expect, test } from "vitest";
import { outcomeOf, type Journal } from "../../src/restore/target/swap-journal.ts";

const swap: Journal = {
  version: 1,
  incoming: "odoo_pg_new_0123abcd",
  database: "shop",
  kept: "shop_old_20260101_000000",
  oid: "200",
  old_oid: "100",
};
const rename: Journal = { version: 1, incoming: "shop", database: "store", kept: null, oid: "100" };

const found = (journal: Journal, ...databases: readonly (readonly [oid: string, name: string])[]) =>
  outcomeOf(
    journal,
    databases.map(([oid, name]) => ({ oid, name })),
  );

describe("what became of a change of names", () => {
  test("is known by the databases' own numbers, whatever they are called by now", () => {
    expect(found(swap, ["100", "shop"], ["200", swap.incoming]).done).toBe(false);
    expect(found(swap, ["100", swap.kept ?? ""], ["200", "shop"]).done).toBe(true);
    expect(found(swap, ["100", "shop"], ["200", "renamed since"]).done).toBe(true);
    expect(found(rename, ["100", "store"], ["300", "shop"]).done).toBe(true);
    expect(found(rename, ["100", "shop"], ["300", "store"])).toEqual({ done: false, taken: true });
  });

  test("is known by the old one where the new one is gone", () => {
    expect(found(swap, ["100", "shop"]).done).toBe(false);
    expect(found(swap, ["100", swap.kept ?? ""]).done).toBe(true);
    expect(found(swap, ["300", "shop"])).toEqual({ done: true, taken: true });
  });

  test("is guessed from the names alone where an earlier version noted nothing else", () => {
    const { oid: _, old_oid: __, ...names } = swap;
    expect(found(names, ["200", swap.incoming]).done).toBe(false);
    expect(found(names, ["200", "shop"]).done).toBe(true);
  });
});
