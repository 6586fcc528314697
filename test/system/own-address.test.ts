import { networkInterfaces } from "node:os";
import { expect, test } from "vitest";
import { foreignAddressesOf, ownAddresses } from "../../src/system/network/own-address.ts";

test("loopback, the addresses of this machine's interfaces and names of them are its own", async () => {
  const interfaces = Object.values(networkInterfaces()).flatMap((found) => found ?? []);
  const addresses = interfaces.map(({ address }) => address.replace(/%.*/, ""));
  expect(addresses).not.toEqual([]);
  for (const host of ["127.0.0.1", "127.79.80.71", "::1", "::ffff:127.0.0.1", "localhost", ...addresses])
    expect(await foreignAddressesOf(host), host).toEqual([]);
});

test("what others may reach it by is not loopback", () => {
  for (const address of ownAddresses()) expect(address).not.toMatch(/^127\.|^::1$/);
});

test("addresses of documentation are nobody's here, and a name that nobody has stands for none", async () => {
  for (const host of ["192.0.2.1", "198.51.100.7", "2001:db8::1", "::ffff:192.0.2.1"])
    expect(await foreignAddressesOf(host)).toEqual([host]);
  expect(await foreignAddressesOf("nobody.invalid")).toBeUndefined();
});
