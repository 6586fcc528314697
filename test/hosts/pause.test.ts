import { expect, test } from "vitest";
import type { StoredValue } from "../../src/consensus/etcd.ts";
import { setPause } from "../../src/hosts/agent/orders/pause.ts";
import { patroniPrefix } from "../../src/hosts/documents/places.ts";
import { viewOfStore } from "../../src/hosts/documents/store-view.ts";
import { documentOf } from "./standins.ts";

const stored = (value: string): StoredValue => ({ value, revision: 7n, lease: undefined });
const store = {
  answers: true,
  view: viewOfStore(new Map([["config", stored("{}")]])),
  document: documentOf(),
};

test("a pause whose end somebody else has changed in this moment does not begin", async () => {
  const swapped: string[] = [];
  const etcd = {
    get: async () => await Promise.resolve(stored("1")),
    swap: async (key: string) => {
      swapped.push(key);
      return await Promise.resolve(!key.endsWith("pause_until"));
    },
  };
  await expect(setPause(etcd, store, 5)).rejects.toMatchObject({ code: "refused" });
  expect(swapped).toEqual(["/odoo-pg-hosts/odoo/pause_until"]);
});

test("a pause that the host's last look at the store has not seen yet is ended all the same", async () => {
  const config = `${patroniPrefix("odoo")}config`;
  const held = new Map([[config, { ...stored('{"pause":true}'), revision: 8n }]]);
  const etcd = {
    get: async (key: string) => await Promise.resolve(held.get(key)),
    swap: async (key: string, revision: bigint, value: string) => {
      if ((held.get(key)?.revision ?? 0n) !== revision) return await Promise.resolve(false);
      held.set(key, { ...stored(value), revision: revision + 1n });
      return true;
    },
  };
  const before = { ...store, view: viewOfStore(new Map([["config", stored('{"pause":false}')]])) };
  expect((await setPause(etcd, before, undefined)).changed).toBe(true);
  expect(held.get(config)?.value).toBe('{"pause":false}');
});
