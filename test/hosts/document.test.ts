import { describe, expect, test } from "vitest";
import { resolvedConfigSchema } from "../../src/config/schema.ts";
import { withOwnPart } from "../../src/hosts/decisions/settings/own-part.ts";
import { documentSchema } from "../../src/hosts/documents/record.ts";
import { renderHostSettings } from "../../src/hosts/render/server.ts";
import { layoutOf, nodeLayoutOf } from "../../src/config/layout.ts";

const config = resolvedConfigSchema.parse({
  state_dir: "/var/lib/odoo-pg/odoo",
  listen: ["127.0.0.1"],
  networks: ["10.0.0.0/24", "fd00::/8"],
  odoo: { role: "erp", template: "erp_template" },
  postgres: { version: 17, parameters: { work_mem: "64MB" }, initdb_args: ["-k"] },
});

/** A document with every text that one may have: of its configuration, what a host takes. */
const whole = {
  format: 1,
  cluster: "odoo",
  system_identifier: "7000000000000000001",
  major: 17,
  config: withOwnPart(config, undefined),
  settings: { shared_buffers: "128MB", max_connections: "300" },
  shared: { max_connections: "300", wal_level: "replica" },
  port: 5433,
  hosts: [
    { name: "db1", role: "database", address: "10.0.0.1" },
    { name: "db2", role: "database", address: "fd00::2" },
    { name: "app", role: "endpoints", address: "10.0.0.4" },
  ],
};

type Path = readonly string[];

/** Every text below a value, and every key of what has names of its own. */
function texts(value: unknown, at: Path = []): { readonly at: Path; readonly isKey: boolean }[] {
  if (typeof value === "string") return [{ at, isKey: false }];
  if (typeof value !== "object" || value === null) return [];
  const named = ["settings", "shared", "parameters"].includes(at.at(-1) ?? "");
  return Object.entries(value).flatMap(([key, inner]) => [
    ...(named ? [{ at: [...at, key], isKey: true }] : []),
    ...texts(inner, [...at, key]),
  ]);
}

/** The value with the text at that place, or its key, as another one. */
function changed(value: unknown, at: Path, isKey: boolean, change: (text: string) => string): unknown {
  const [key, ...rest] = at;
  if (key === undefined) return change(String(value));
  if (typeof value !== "object" || value === null) throw new Error(`nothing at ${at.join(".")}`);
  const entries = Object.entries(value).map(([name, inner]): [string, unknown] => {
    if (name !== key) return [name, inner];
    if (isKey && rest.length === 0) return [change(name), inner];
    return [name, changed(inner, rest, isKey, change)];
  });
  return Array.isArray(value) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries);
}

/** What would begin another line, word or value in one of the files that are made of it. */
const HOSTILE: readonly ((text: string) => string)[] = [
  (text) => `${text}\n  server evil 10.6.6.6:5433`,
  (text) => `${text}\rlisten evil`,
  (text) => `${text}" trust`,
  (text) => `${text}' trust`,
  (text) => `${text} trust`,
  (text) => `${text},10.6.6.6`,
  (text) => `${text}$(id)`,
  (text) => `${text}:x1`,
  (text) => `${text}\0`,
  (text) => `../../${text}`,
];

/** Where any text in one line may stand: PostgreSQL reads it, between quotes. Paths are none that a host takes. */
const FREE =
  /^(?:settings|shared|config\.postgres\.parameters)\.[^.]+$|^config\.postgres\.initdb_args\.|^config\.(?:state_dir|backup|console|alarms|nodes|listen|password_files|replication_log)\b/;

describe("the document that the hosts share, whoever has written it", () => {
  test("as it is, is one", () => {
    expect(documentSchema.safeParse(whole).error).toBeUndefined();
  });

  test.each(
    texts(whole)
      .filter(({ at, isKey }) => isKey || !FREE.test(at.join(".")))
      .map((place) => ({ ...place, name: `${place.at.join(".")}${place.isKey ? " (name)" : ""}` })),
  )("no text that says more than itself is taken for $name", ({ at, isKey }) => {
    for (const change of HOSTILE)
      expect(documentSchema.safeParse(changed(whole, at, isKey, change)).success).toBe(false);
  });

  test.each(["settings", "shared"])("a value of %s stays in its line", (section) => {
    const name = section === "settings" ? "shared_buffers" : "max_connections";
    for (const bad of ["1\nhba_file = '/tmp/x'", "1\r", "1\0"])
      expect(documentSchema.safeParse(changed(whole, [section, name], false, () => bad)).success).toBe(false);
    expect(documentSchema.safeParse({ ...whole, [section]: { hba_file: "/tmp/x" } }).success).toBe(false);
  });

  test("a value of a parameter stays in its quotes", () => {
    const evil = `x'\nevil_file = '/tmp/x`;
    const parameters = { application_name: evil };
    const document = documentSchema.parse({
      ...whole,
      config: { ...whole.config, postgres: { ...whole.config.postgres, parameters } },
    });
    const layout = layoutOf("/var/lib/odoo-pg/odoo");
    const node = { name: "db1", host: "10.0.0.1", port: 5433 };
    const rendered = renderHostSettings({
      config: withOwnPart(document.config, undefined),
      layout,
      node,
      files: nodeLayoutOf(layout, node),
      facts: { hasLoopbackNetwork: true, platform: "linux", major: 17, diskBytes: 1 },
      kept: document.settings,
      upstream: undefined,
      floor: {},
    });
    expect(rendered).toContain(String.raw`application_name = 'x''\nevil_file = ''/tmp/x'`);
    expect(rendered).not.toMatch(/^evil_file/m);
  });

  test("no two hosts have one name or one address", () => {
    const [first] = whole.hosts;
    const again = { ...first, name: "db9" };
    expect(documentSchema.safeParse({ ...whole, hosts: [...whole.hosts, again] }).success).toBe(false);
    expect(
      documentSchema.safeParse({ ...whole, hosts: [...whole.hosts, { ...first, address: "10.0.0.9" }] })
        .success,
    ).toBe(false);
  });
});
