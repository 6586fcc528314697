import * as fc from "fast-check";
import { expect, test } from "vitest";
import { bytesBehind, formatLsn, parseLsn } from "../../src/model/lsn.ts";

const lsn = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });

test("a position is read as PostgreSQL writes it", () => {
  expect(parseLsn("0/0")).toBe(0n);
  expect(parseLsn("16/B374D848")).toBe(0x16_b374_d848n);
  expect(parseLsn("ffffffff/ffffffff")).toBe(0xffff_ffff_ffff_ffffn);
  expect(formatLsn(0x16_b374_d848n)).toBe("16/B374D848");
  expect(formatLsn(0x1_0000_000an)).toBe("1/A");
});

test("every position is written so that it reads back as itself", () => {
  fc.assert(fc.property(lsn, (position) => parseLsn(formatLsn(position)) === position));
});

test("what is not a position is refused", () => {
  for (const text of [
    "",
    "0",
    "/",
    "0/",
    "/0",
    "0/0/0",
    " 0/0",
    "0/0\n",
    "g/0",
    "123456789/0",
    "0/123456789",
    "-1/0",
  ])
    expect(() => parseLsn(text)).toThrow(RangeError);
});

test("the bytes between two positions are exact, and never negative", () => {
  expect(bytesBehind(parseLsn("1/0"), parseLsn("0/FFFFFF00"))).toBe(256);
  fc.assert(
    fc.property(lsn, fc.maxSafeNat(), (from, bytes) => {
      expect(bytesBehind(from + BigInt(bytes), from)).toBe(bytes);
      expect(bytesBehind(from, from + BigInt(bytes))).toBe(0);
    }),
  );
});
