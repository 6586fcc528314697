import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import * as z from "zod";
import { renderCompose } from "../../src/container/compose.ts";
import { pgadminServers } from "../../src/container/pgadmin.ts";

const fileSchema = z.object({
  services: z.record(
    z.string(),
    z.object({ ports: z.string().array().optional(), profiles: z.string().array().optional() }).loose(),
  ),
  volumes: z.record(z.string(), z.object({})),
});

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
