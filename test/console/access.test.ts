import { describe, expect, test } from "vitest";
import { listenerAt, isFromHere, mayBearHost, needsSignIn } from "../../src/console/access/listeners.ts";
import { KEY_LIFETIME, OneTimeKeys } from "../../src/console/access/one-time-keys.ts";
import { isPasswordOf, sameSecret } from "../../src/console/access/passwords.ts";
import { SIGN_IN_LIFETIME, SignIns } from "../../src/console/access/sign-ins.ts";
import { Tries } from "../../src/console/access/tries.ts";

describe("a sign-in", () => {
  test("is good until its time is over, or it is ended", () => {
    const signIns = new SignIns();
    const id = signIns.add("operator", 0);
    expect(id).toMatch(/^[\w-]{43}$/);
    expect(signIns.find(id, SIGN_IN_LIFETIME - 1)).toMatchObject({ role: "operator" });
    expect(signIns.find(`${id}x`, 0)).toBeUndefined();
    expect(signIns.find("", 0)).toBeUndefined();
    expect(signIns.find(id, SIGN_IN_LIFETIME)).toBeUndefined();
    const other = signIns.add("viewer", 0);
    signIns.remove(other);
    expect(signIns.find(other, 1)).toBeUndefined();
  });

  test("has an id and a token of its own; of very many the oldest ends", () => {
    const signIns = new SignIns();
    const ids = Array.from({ length: 101 }, () => signIns.add("viewer", 0));
    const tokens = ids.map((id) => signIns.find(id, 1)?.token);
    expect(new Set(ids).size).toBe(101);
    expect(new Set(tokens).size).toBe(101);
    expect(tokens[0]).toBeUndefined();
    expect(tokens[100]).toMatch(/^[\w-]{43}$/);
  });
});

describe("a one-time key", () => {
  test("is good once, and for ten minutes", () => {
    const keys = new OneTimeKeys();
    const key = keys.make(0);
    expect(keys.take("guess", 1)).toBe(false);
    expect(keys.take(key, 1)).toBe(true);
    expect(keys.take(key, 1)).toBe(false);
    const late = keys.make(0);
    expect(keys.take(late, KEY_LIFETIME)).toBe(false);
    expect(keys.take(late, 1)).toBe(false);
  });

  test("of more than twenty the oldest is void", () => {
    const keys = new OneTimeKeys();
    const made = Array.from({ length: 21 }, () => keys.make(0));
    expect(made.map((key) => keys.take(key, 1)).indexOf(true)).toBe(1);
  });
});

describe("wrong passwords", () => {
  test("from one address have to wait after five in a minute; others need not", () => {
    const tries = new Tries();
    for (let at = 0; at < 5; at++) {
      expect(tries.wait("10.0.0.9", at * 1000)).toBe(0);
      tries.wrong("10.0.0.9", at * 1000);
    }
    expect(tries.wait("10.0.0.9", 5000)).toBe(55);
    expect(tries.wait("10.0.0.8", 5000)).toBe(0);
    expect(tries.wait("10.0.0.9", 60_000)).toBe(0);
  });

  test("from everywhere have to wait after sixty in a minute", () => {
    const tries = new Tries();
    for (let number = 0; number < 60; number++) tries.wrong(`10.0.0.${number}`, 0);
    expect(tries.wait("10.0.1.1", 1000)).toBe(59);
  });
});

test("a password is compared whole, and an empty one is nobody's", () => {
  expect(sameSecret("abc", "abc")).toBe(true);
  expect(sameSecret("ab", "abc")).toBe(false);
  const passwords = { viewer: "v", operator: "" };
  expect(isPasswordOf("viewer", "v", passwords)).toBe(true);
  expect(isPasswordOf("operator", "", passwords)).toBe(false);
  expect(isPasswordOf("operator", "v", passwords)).toBe(false);
});

test.each([
  ["127.0.0.1", false],
  ["127.8.9.10", false],
  ["::1", false],
  ["localhost", false],
  ["LOCALHOST", false],
  ["10.0.0.1", true],
  ["0.0.0.0", true],
  ["::", true],
  ["*", true],
  ["127.0.0.1.example.com", true],
  ["127.evil", true],
  ["localhost.example.com", true],
  ["::ffff:127.0.0.1", true],
])("whether everything at %s needs a sign-in: %s", (address, needed) => {
  expect(needsSignIn(address)).toBe(needed);
});

describe("the Host of a request", () => {
  const certified = (name: string): boolean => name === "db.example.com";

  test.each([
    ["127.0.0.1:5050", true],
    ["localhost:8080", true],
    ["[::1]:5050", true],
    ["LocalHost:5050", true],
    ["evil.example:5050", false],
    ["10.0.0.1:5050", false],
    ["db.example.com:5050", false],
    ["localhost:5050:5050", false],
    ["localhost@evil.example", false],
    ["", false],
    [undefined, false],
  ])("on loopback may be %j: %s", (header, right) => {
    expect(mayBearHost(listenerAt("127.0.0.1"), header, certified)).toBe(right);
  });

  test.each([
    ["10.0.0.1:5050", true],
    ["db.example.com:5050", true],
    ["DB.example.com", true],
    ["127.0.0.1:5050", true],
    ["[fd00::5]:5050", true],
    ["evil.example:5050", false],
    ["999.1.1.1:5050", false],
  ])("elsewhere may be %j: %s", (header, right) => {
    expect(mayBearHost(listenerAt("10.0.0.1"), header, certified)).toBe(right);
  });
});

describe("a request", () => {
  const listener = listenerAt("127.0.0.1");
  const from = (changes: Partial<Parameters<typeof isFromHere>[1]>): boolean =>
    isFromHere(listener, {
      method: "POST",
      host: "127.0.0.1:5050",
      origin: undefined,
      site: undefined,
      mode: undefined,
      ...changes,
    });

  test("of our own page, or of no page, is taken", () => {
    expect(from({ origin: "http://127.0.0.1:5050", site: "same-origin" })).toBe(true);
    expect(from({})).toBe(true);
    expect(from({ method: "GET", site: "none", mode: "navigate" })).toBe(true);
  });

  test("of another site, port or scheme is not; a link from there is", () => {
    for (const origin of ["http://evil.example", "http://127.0.0.1:8069", "https://127.0.0.1:5050", "null"])
      expect(from({ origin })).toBe(false);
    expect(from({ site: "cross-site", mode: "cors" })).toBe(false);
    expect(from({ site: "same-site", mode: "no-cors", method: "GET" })).toBe(false);
    expect(from({ site: "cross-site", mode: "navigate", method: "POST" })).toBe(false);
    expect(from({ site: "cross-site", mode: "navigate", method: "GET" })).toBe(true);
  });
});
