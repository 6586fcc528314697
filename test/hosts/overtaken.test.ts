import { expect, test } from "vitest";
import { Overtaken } from "../../src/hosts/decisions/overtaken.ts";

const old = { inRecovery: false, leader: "h2", name: "h1", isPaused: false };

test("Patroni that leaves a server a primary for half a minute while another host leads is started again, once", () => {
  const overtaken = new Overtaken();
  expect(overtaken.look(0, old)).toBe(false);
  expect(overtaken.look(29_999, old)).toBe(false);
  expect(overtaken.look(30_000, old)).toBe(true);
  expect(overtaken.look(30_500, old)).toBe(false);
  expect(overtaken.look(60_500, old)).toBe(true);
});

test.each([
  ["it leads itself", { leader: "h1" }],
  ["nobody leads, or the store does not answer", { leader: undefined }],
  ["it has become a replica", { inRecovery: true }],
  ["its server does not answer", { inRecovery: undefined }],
  ["failover is paused", { isPaused: true }],
])("the time begins anew when %s", (_, change) => {
  const overtaken = new Overtaken();
  overtaken.look(0, old);
  expect(overtaken.look(29_000, { ...old, ...change })).toBe(false);
  expect(overtaken.look(31_000, old)).toBe(false);
});
