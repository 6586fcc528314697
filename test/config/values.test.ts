import * as fc from "fast-check";
import { expect, test } from "vitest";
import { endpointHost, networkProblem } from "../../src/config/values/addresses.ts";
import { formatBytes, parseBytes } from "../../src/config/values/postgres-units.ts";
import { resolveText } from "./sources.ts";

test("sizes are read in PostgreSQL's units", () => {
  expect(parseBytes("16MB")).toBe(16_777_216);
  expect(parseBytes(" 1.5 GB ")).toBe(1_610_612_736);
  expect(parseBytes("8kB")).toBe(8192);
  expect(parseBytes("2TB")).toBe(2 * 1024 ** 4);
  expect(parseBytes("12B")).toBe(12);
  expect(parseBytes("12")).toBe(12);
  expect(parseBytes(12)).toBe(12);
});

test("what is not a size is refused with what was probably meant", () => {
  expect(parseBytes("16mb")).toContain('did you mean "MB"?');
  expect(parseBytes("16 parsecs")).toContain('"parsecs" is not a unit');
  for (const text of ["", "MB", "-1MB", "1e3", "16MB and more", -1])
    expect(parseBytes(text)).toContain("is not a size");
  expect(parseBytes("9999999TB")).toContain("too large");
});

test("every number of bytes is written so that it reads back as itself", () => {
  fc.assert(fc.property(fc.maxSafeNat(), (bytes) => parseBytes(formatBytes(bytes)) === bytes));
  fc.assert(
    fc.property(fc.nat(1000), fc.constantFrom("B", "kB", "MB", "GB", "TB"), (amount, unit) => {
      const bytes = parseBytes(`${amount}${unit}`);
      return typeof bytes === "number" && parseBytes(formatBytes(bytes)) === bytes;
    }),
  );
});

test("parameters are spelt as postgresql.conf spells them", () => {
  const { config } = resolveText(
    "postgres:\n  parameters:\n    JIT: false\n    hot_standby_feedback: true\n    log_file_mode: 0640\n    random_page_cost: 1.10\n    auto_explain.log_min_duration: 1s\n    synchronous_commit: remote_apply\n    wal_level: logical\n",
  );
  expect(config.postgres.parameters).toEqual({
    "auto_explain.log_min_duration": "1s",
    hot_standby_feedback: "on",
    jit: "off",
    log_file_mode: "0640",
    random_page_cost: "1.10",
    synchronous_commit: "remote_apply",
    wal_level: "logical",
  });
});

test("every IPv4 network is taken, and with host bits set the network itself is offered", () => {
  fc.assert(
    fc.property(fc.nat(0xffffffff), fc.integer({ min: 0, max: 32 }), (value, prefix) => {
      const text = (address: number) => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
      const network = prefix === 0 ? 0 : (value & (-1 << (32 - prefix))) >>> 0;
      expect(networkProblem(`${text(network)}/${prefix}`)).toBeUndefined();
      if (network !== value) {
        expect(networkProblem(`${text(value)}/${prefix}`)).toContain(`write ${text(network)}/${prefix} for`);
      }
    }),
  );
});

test.each(["::/0", "fd00::/8", "2001:db8::/32", "2001:db8:0:1::/64", "::1/128", "::ffff:10.0.0.0/104"])(
  "the IPv6 network %s is taken",
  (network) => {
    expect(networkProblem(network)).toBeUndefined();
  },
);

test.each([
  ["fd00::1/8", "write fd00::/8 for the network, or fd00::1/128 for this one host"],
  ["2001:db8:1:2:3:4:5:6/64", "write 2001:db8:1:2::/64 for the network"],
  ["::1", "write ::1/128 for this one host"],
  ["10.0.0.1", "write 10.0.0.1/32 for this one host"],
  ["10.0.0.0/33", "it goes from 0 to 32"],
  ["10.0.0.0/", "it goes from 0 to 32"],
  ["10.0.0.0/8/8", "is not a network"],
  ["10.0.0/8", "is not a network"],
  ["all", "is not a network"],
])("the network %s is refused with what to write", (network, words) => {
  expect(networkProblem(network)).toContain(words);
});

test("programs of this host reach the endpoints at the first address that is listened on", () => {
  expect([[], ["*"], ["0.0.0.0"], ["::"], ["::1", "127.0.0.1"], ["10.0.0.5"]].map(endpointHost)).toEqual([
    "127.0.0.1",
    "127.0.0.1",
    "127.0.0.1",
    "::1",
    "::1",
    "10.0.0.5",
  ]);
});
