import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  newToken,
  readInvitation,
  showInvitation,
  TOKEN_LIFE,
  takeToken,
} from "../../src/hosts/joining/tokens.ts";

const NOW = 1_000_000;
const PIN = "ab".repeat(32);

test("an invitation is read as it was shown", () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.ipV4(), fc.constant("fd00::12"), fc.constant("db1.example.org")),
      fc.integer({ min: 1, max: 65_535 }),
      (host, port) => {
        const invitation = { host, port, secret: newToken(NOW).secret, pin: PIN };
        expect(readInvitation(showInvitation(invitation))).toEqual(invitation);
      },
    ),
  );
});

test("what is cut off is no invitation", () => {
  const whole = showInvitation({ host: "10.0.0.1", port: 5051, secret: newToken(NOW).secret, pin: PIN });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: whole.length - 1 }), (end) => {
      expect(readInvitation(whole.slice(0, end))).toBeUndefined();
    }),
  );
});

test("a token is good once", () => {
  const { secret, kept } = newToken(NOW);
  const other = newToken(NOW).kept;
  const left = takeToken([other, kept], secret, NOW)?.left;
  expect(left).toEqual([other]);
  expect(takeToken(left ?? [], secret, NOW)).toBeUndefined();
});

test("a token is good for an hour", () => {
  const { secret, kept } = newToken(NOW);
  expect(takeToken([kept], secret, NOW + TOKEN_LIFE - 1)?.left).toEqual([]);
  expect(takeToken([kept], secret, NOW + TOKEN_LIFE)).toBeUndefined();
});

test("what is kept of a token does not tell it", () => {
  const { secret, kept } = newToken(NOW);
  expect(JSON.stringify(kept)).not.toContain(secret);
});
