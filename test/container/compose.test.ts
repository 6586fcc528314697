import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import * as z from "zod";
import { asPublished } from "../../src/cli/published.ts";
import { renderCompose } from "../../src/container/compose.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { pgadminServers } from "../../src/container/pgadmin.ts";

const fileSchema = z.object({
  services: z.record(
    z.string(),
    z.object({ ports: z.string().array().optional(), profiles: z.string().array().optional() }).loose(),
  ),
  volumes: z.record(z.string(), z.object({})),
});

const COMPOSE = ["/usr/bin/docker-compose", "/usr/local/bin/docker-compose"].find((file) => existsSync(file));
const DEFAULT = { replicas: 1, odoo: false, pgadmin: false };
const rendered = (options = DEFAULT) => fileSchema.parse(parse(renderCompose(options)));

describe("the compose file", () => {
  it("stands ready-made in docker/compose.yaml (odoo-pg compose --print)", () => {
    expect(readFileSync(new URL("../../docker/compose.yaml", import.meta.url), "utf8")).toBe(
      renderCompose(DEFAULT),
    );
  });

  it("publishes on this host alone, each port once, whatever the number of replicas", () => {
    const { services } = rendered({ ...DEFAULT, replicas: 5 });
    const ports = Object.values(services).flatMap((service) => service.ports ?? []);
    expect(ports.every((port) => port.startsWith("${ODOO_PG_ADDRESS:-127.0.0.1}:"))).toBe(true);
    expect(new Set(ports).size).toBe(ports.length);
  });

  it("leads to the console of the primary, and to no other service by its port", () => {
    const { services } = rendered({ replicas: 2, odoo: true, pgadmin: true });
    const at = (port: string) =>
      Object.entries(services).flatMap(([name, { ports = [] }]) =>
        ports.some((one) => one.includes(`127.0.0.1}:${port}:`)) ? [name] : [],
      );
    expect([at("5051"), at("5050")]).toEqual([["primary"], ["pgadmin"]]);
    expect(services["primary"]?.ports).toHaveLength(2);
    expect(services["primary"]?.["environment"]).toMatchObject({
      CONSOLE_PUBLISHED: "${ODOO_PG_ADDRESS:-127.0.0.1}:5051",
    });
  });

  it.each([
    ["127.0.0.1:5051", "https://127.0.0.1:5051/sign-in?key=a"],
    ["[2001:db8::5]:5051", "https://[2001:db8::5]:5051/sign-in?key=a"],
    ["nothing of an address", "https://127.0.0.1:5050/sign-in?key=a"],
    [undefined, "https://127.0.0.1:5050/sign-in?key=a"],
  ])("has the console's links lead where it is published: %s", (CONSOLE_PUBLISHED, wanted) => {
    expect(asPublished("https://127.0.0.1:5050/sign-in?key=a", { CONSOLE_PUBLISHED })).toBe(wanted);
  });

  it.skipIf(COMPOSE === undefined)("is read by docker-compose as it is meant", async () => {
    const folder = temporaryFolder();
    writeFileSync(
      join(folder, "docker-compose.yml"),
      renderCompose({ replicas: 2, odoo: true, pgadmin: true }),
    );
    const { stdout } = await execa(COMPOSE ?? "", ["config"], { cwd: folder, timeout: 60_000 });
    const { services } = z
      .object({ services: z.record(z.string(), z.object({ ports: z.unknown().array().optional() })) })
      .parse(parse(stdout));
    expect(JSON.stringify(services["primary"]?.ports)).toContain("127.0.0.1:5051:5050");
    expect(Object.keys(services)).toContain("pgadmin");
  });

  it("names every volume that a service uses", () => {
    const { services, volumes } = rendered({ ...DEFAULT, replicas: 2 });
    const used = Object.values(services)
      .flatMap((service) =>
        z
          .string()
          .array()
          .parse(service["volumes"] ?? []),
      )
      .map((volume) => volume.split(":")[0] ?? "")
      .filter((volume) => !volume.startsWith("."));
    expect([...new Set(used)].sort()).toEqual(Object.keys(volumes).sort());
  });

  it("gives containers no right that their start does not need", () => {
    const { setup, primary, replica, endpoints, odoo } = rendered().services;
    for (const service of [setup, primary, replica, endpoints, odoo])
      expect(service).toMatchObject({ cap_drop: ["ALL"], security_opt: ["no-new-privileges:true"] });
    // Odoo does not begin as root.
    expect(odoo).not.toHaveProperty("cap_add");
    expect(primary?.["cap_add"]).toEqual(["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"]);
    expect(endpoints).toMatchObject({ read_only: true });
  });

  it("hands no password to a container's environment: the engine would tell it", () => {
    const environments = Object.values(rendered().services).map((service) =>
      z.record(z.string(), z.string()).parse(service["environment"] ?? {}),
    );
    for (const [name, value] of environments.flatMap((environment) => Object.entries(environment)))
      if (/PASSW/.test(name)) expect(`${name}: ${value}`).toMatch(/_FILE: \/run\//);
  });

  it("starts Odoo and pgAdmin with the rest only when asked to", () => {
    expect(rendered().services["odoo"]?.profiles).toEqual(["odoo"]);
    expect(rendered({ ...DEFAULT, odoo: true }).services["odoo"]?.profiles).toBeUndefined();
  });

  it("works without a replica", () => {
    expect(Object.keys(rendered({ ...DEFAULT, replicas: 0 }).services)).not.toContain("replica");
  });

  it("registers the nodes in pgAdmin, with the password in a file", () => {
    const text = pgadminServers(["primary", "replica"], "odoo");
    expect(text).toContain('"passfile": "/.pgpass"');
    expect(text).not.toMatch(/"Password"/);
  });
});
