import { expect, test } from "vitest";
import type { StoredValue } from "../../src/consensus/etcd.ts";
import { setPause } from "../../src/hosts/agent/orders/pause.ts";
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
