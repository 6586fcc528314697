import { existsSync, readdirSync, readFileSync, writeFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import * as z from "zod";
import { renderHostsExample } from "../../src/container/compose-hosts.ts";
import { resolveConfig } from "../../src/config/resolve.ts";
import { unfitForHosts } from "../../src/hosts/decisions/settings/configure.ts";
import { runProgram } from "../support/program.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const composeSchema = z.object({
  services: z.record(
    z.string(),
    z.object({
      command: z.string().array(),
      user: z.string(),
      cap_drop: z.string().array(),
      network_mode: z.string().optional(),
      networks: z.object({ hosts: z.object({ ipv4_address: z.string() }) }).optional(),
      volumes: z.string().array(),
    }),
  ),
});

async function compose(home: string, ...args: string[]) {
  return await runProgram(["compose", "--ha", ...args], { home });
}

describe("odoo-pg compose --ha", () => {
  test("writes a folder for each host and one for a laptop; a second run changes nothing", async () => {
    const home = temporaryFolder();
    const first = await compose(home, "--addresses", "10.1.0.1, 10.1.0.2,10.1.0.3");
    expect(first.exitCode, first.stderr).toBe(0);
    const made = readdirSync(home).filter((name) => !name.startsWith("."));
    expect(made.toSorted()).toEqual(["db1", "db2", "laptop", "witness"]);
    const text = readFileSync(join(home, "witness/compose.yaml"), "utf8");
    expect(text).toContain("odoo-pg join 'INVITATION' --address 10.1.0.3 --witness");
    expect((await compose(home, "--addresses", "10.1.0.1,10.1.0.2,10.1.0.3")).exitCode).toBe(0);
    expect(readFileSync(join(home, "witness/compose.yaml"), "utf8")).toBe(text);
  });

  test.each([
    "10.0.0.1,10.0.0.2",
    "10.0.0.1,10.0.0.1,10.0.0.2",
    "db1,db2,db3",
    "10.0.0.1,10.0.0.2,10.0.0.3/24",
  ])("--addresses %s is refused, and nothing is written", async (addresses) => {
    const home = temporaryFolder();
    const { exitCode, stderr } = await compose(home, "--addresses", addresses);
    expect(stderr).toContain("three hosts");
    expect(exitCode).toBe(2);
    expect(existsSync(join(home, "db1"))).toBe(false);
  });

  test("what goes with one host is refused, and a file of somebody else's is left alone", async () => {
    const home = temporaryFolder();
    expect((await compose(home, "--odoo")).stderr).toContain("--odoo does not go with --ha");
    mkdirSync(join(home, "laptop"));
    writeFileSync(join(home, "laptop/compose.yaml"), "services: {}\n");
    const { exitCode, stderr } = await compose(home);
    expect(stderr).toMatch(/was not made by odoo-pg[\s\S]*Nothing was written/);
    expect(exitCode).not.toBe(0);
    expect(existsSync(join(home, "db1"))).toBe(false);
  });
});

describe("the example of three hosts", () => {
  const files = renderHostsExample(["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
  const textOf = (name: string): string => files.find(({ path }) => path === name)?.text ?? "";

  test("each container has no right besides, and its own address and volumes", () => {
    const { services } = composeSchema.parse(parse(textOf("laptop/compose.yaml")));
    expect(Object.keys(services)).toEqual(["db1", "db2", "witness"]);
    for (const [name, service] of Object.entries(services)) {
      expect(service).toMatchObject({ user: "999:999", cap_drop: ["ALL"] });
      expect(service.volumes.filter((volume) => volume.startsWith(`${name}:`))).toHaveLength(1);
    }
    const addresses = Object.values(services).map(({ networks }) => networks?.hosts.ipv4_address);
    expect(new Set(addresses).size).toBe(3);
    for (const name of ["db1", "db2", "witness"])
      expect(composeSchema.parse(parse(textOf(`${name}/compose.yaml`))).services[name]?.network_mode).toBe(
        "host",
      );
  });

  test("each configuration is one that can have several hosts, and the first listens on its address", () => {
    const configs = files.filter(({ path }) => !path.endsWith("compose.yaml"));
    expect(configs).toHaveLength(6);
    for (const { path, text } of configs) {
      const { config } = resolveConfig({
        file: { path, text },
        env: {},
        defaults: { isRoot: false, home: "/home/o", xdgStateHome: undefined, platform: "linux" },
      });
      expect(unfitForHosts(config)).toBeUndefined();
      if (path === "db1/odoo-pg.yaml") expect(config.listen).toContain("10.0.0.1");
    }
  });
});
