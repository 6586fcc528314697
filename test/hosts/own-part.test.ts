import { expect, test } from "vitest";
import * as z from "zod";
import { archivePlaceOf } from "../../src/archive/place.ts";
import { layoutOf } from "../../src/config/layout.ts";
import { resolvedConfigSchema, type Config } from "../../src/config/schema.ts";
import { keysOf, schemaAt } from "../../src/config/schema-tree.ts";
import { refuseChanges } from "../../src/hosts/decisions/settings/configure.ts";
import { isOfOneHost, withOwnPart } from "../../src/hosts/decisions/settings/own-part.ts";
import { configOf, forGuests, servedConfig } from "../../src/hosts/documents/host-config.ts";
import {
  documentSchema,
  readHostRecord,
  wholeHostRecord,
  withOwnPlaces,
  writeHostRecord,
  type ClusterDocument,
} from "../../src/hosts/documents/record.ts";
import { writeApplied } from "../../src/store/state.ts";
import { ensureDirectory } from "../../src/system/files/files.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { recordOf } from "./standins.ts";

const configured = (more: object): Config =>
  resolvedConfigSchema.parse({ state_dir: "/var/lib/odoo-pg/odoo", listen: ["127.0.0.1"], ...more });

const HOSTILE = "/hostile/place";

/** What root would run, read or write by it. */
const store = configured({
  postgres: { bin_dir: "/tmp/bin", parameters: { work_mem: "64MB" } },
  haproxy: { program: "/tmp/haproxy" },
  pgbouncer: { program: "/tmp/pgbouncer" },
  odoo: { role: "erp", filestore: "/etc", addons_path: ["/root"] },
  backup: { dir: "/etc/backups", user: "nobody", on_success: ["/tmp/run"], on_failure: ["/tmp/run"] },
  alarms: { command: ["/tmp/page"] },
});

const record = recordOf({ name: "db2", role: "database", address: "10.0.0.2" });

function documentWith(config: Config): ClusterDocument {
  return documentSchema.parse({
    format: 1,
    cluster: "odoo",
    system_identifier: "7000000000000000001",
    major: 17,
    config,
    settings: {},
    shared: {},
    port: 5433,
    hosts: [
      { name: "db1", role: "database", address: "10.0.0.1" },
      { name: "db2", role: "database", address: "10.0.0.2" },
    ],
  });
}

type Path = readonly (string | number)[];

/** What PostgreSQL itself is told, and does as the servers' user; and a size, which is read as a text first. */
const NOT_ROOTS = ["postgres.parameters.", "postgres.initdb_args.", "endpoints.read.max_lag"];

/** Every value of the schema that a path may stand in, however deep: in lists, in sections of one's own names. */
function placesForPaths(at: Path = []): Path[] {
  const schema = schemaAt(resolvedConfigSchema, at);
  if (schema === undefined) throw new Error(`nothing at ${at.join(".")}`);
  const below = (part: string | number): Path[] => placesForPaths([...at, part]);
  if (schema instanceof z.ZodArray) return below(0);
  if (schema instanceof z.ZodRecord) return below("some");
  const keys = keysOf(schema);
  if (keys.length) return keys.flatMap(below);
  return takes(schema, HOSTILE) ? [at] : [];
}

function takes(schema: z.core.$ZodType, value: unknown): boolean {
  return z.core.safeParse(schema, value).success;
}

function put(within: unknown, [part, ...rest]: Path, value: unknown): unknown {
  if (part === undefined) return value;
  if (typeof part === "number") return [put(Array.isArray(within) ? within[0] : undefined, rest, value)];
  const record = typeof within === "object" && within !== null ? Object.entries(within) : [];
  const inner: unknown = record.find(([key]) => key === part)?.[1];
  return { ...Object.fromEntries(record), [part]: put(inner, rest, value) };
}

/** A configuration with this value, and with what the schema asks for beside it. */
function withValue(at: Path, value: unknown): Config {
  let draft = put({ state_dir: "/var/lib/odoo-pg/odoo", listen: ["127.0.0.1"] }, at, value);
  for (let tries = 0; tries < 10; tries += 1) {
    const parsed = resolvedConfigSchema.safeParse(draft);
    if (parsed.success) return parsed.data;
    for (const { path } of parsed.error.issues) {
      const missing = path.map((part) => (typeof part === "symbol" ? "" : part));
      const schema = schemaAt(resolvedConfigSchema, missing);
      const fit = [HOSTILE, "db1", "10.0.0.1", "a@b.example", ["a@b.example"], 5433].find(
        (one) => schema !== undefined && takes(schema, one),
      );
      draft = put(draft, missing, fit);
    }
  }
  throw new Error(`no configuration says ${at.join(".")}`);
}

const PLACES = placesForPaths()
  .map((at) => ({ key: at.join("."), at }))
  .filter(({ key }) => !NOT_ROOTS.some((section) => key.startsWith(section)));

test("the walk finds the paths of the schema", () => {
  const keys = PLACES.map(({ key }) => key);
  expect(keys).toEqual(
    expect.arrayContaining([
      "state_dir",
      "tls.ca",
      "tls.key",
      "nodes.0.data_dir",
      "upstream.password_file",
      "odoo.addons_path.0",
      "postgres.bin_dir",
      "replication_log.file",
      "backup.on_success.0",
    ]),
  );
});

test.each(PLACES)("the store does not say $key on any host", ({ at }) => {
  const said = withValue(at, HOSTILE);
  expect(JSON.stringify(said)).toContain(HOSTILE);
  for (const fileConfig of [undefined, configured({})])
    // Also where a node of the store has this host's name.
    for (const node of ["db2", said.nodes[0]?.name ?? ""]) {
      const own = { stateDir: "/var/lib/odoo-pg/own", fileConfig };
      const applied = configOf(documentWith(said), { ...record, node }, own);
      expect(JSON.stringify(applied)).not.toContain(HOSTILE);
    }
  const document = documentWith({ ...said, state_dir: "/var/lib/odoo-pg/odoo" });
  expect(JSON.stringify([forGuests(document), servedConfig(document, true)])).not.toContain(HOSTILE);
});

test("of the configuration in the store a host takes what it is named to say, and nothing else", () => {
  const shared = ["endpoints", "networks", "odoo.role", "odoo.template"];
  const ofServer = ["postgres.initdb_args", "postgres.parameters", "postgres.version"];
  const said = configured({
    cluster: "erp",
    user: "www-data",
    networks: ["10.0.0.0/8"],
    postgres: { version: 17, bin_dir: "/tmp/bin", parameters: { work_mem: "1MB" }, initdb_args: ["-k"] },
    odoo: { role: "erp", template: "erp_template", filestore: "/etc", addons_path: ["/root"] },
    endpoints: { wait_seconds: 7, write: { pooling: "transaction" } },
    upstream: { host: "10.6.6.6" },
    backup: { dir: "/etc/backups" },
    console: { port: 6666 },
  });
  const own = configured({});
  const applied = configOf(documentWith(said), record, { stateDir: own.state_dir, fileConfig: own });
  const values = (config: Config): Map<string, string> =>
    new Map(
      Object.entries(config).flatMap(([section, value]) =>
        section === "odoo" || section === "postgres"
          ? Object.entries(value ?? {}).map(
              ([key, inner]) => [`${section}.${key}`, JSON.stringify(inner)] as const,
            )
          : [[section, JSON.stringify(value)] as const],
      ),
    );
  const before = values({ ...own, listen: applied.listen, nodes: applied.nodes });
  const after = values(applied);
  const differs = [...new Set([...before.keys(), ...after.keys()])].filter(
    (key) => before.get(key) !== after.get(key),
  );
  expect(differs.sort()).toEqual([...shared, ...ofServer].sort());
  expect(applied.endpoints.write.pooling).toBe("transaction");
  expect(applied.user).toBeUndefined();
});

test("the store gives no host another place in the repository: the cluster's name is that of its document", () => {
  const document = documentWith(configured({ cluster: "another" }));
  const own = { stateDir: "/var/lib/odoo-pg/own", fileConfig: configured({ cluster: "third" }) };
  const applied = configOf(document, record, own);
  expect(archivePlaceOf(applied, layoutOf(own.stateDir)).stanza).toBe("odoo");
  for (const config of [document.config, applied, servedConfig(document, true), forGuests(document).config])
    expect(config.cluster).toBe("odoo");
});

test("what root runs, reads and writes on a host is never said by the store", () => {
  const own = configured({ backup: { dir: "/mnt/backups" }, odoo: { filestore: "/srv/filestore" } });
  const applied = withOwnPart(store, own);
  expect(applied.backup).toEqual(own.backup);
  expect(applied.alarms).toEqual(own.alarms);
  expect(applied.odoo).toEqual({ ...own.odoo, role: "erp" });
  expect(JSON.stringify(applied)).not.toMatch(/\/tmp|\/etc|\/root|nobody/);
  expect(applied.postgres.parameters).toEqual({ work_mem: "64MB" });
});

test("a host without a file of its own has all of it by default", () => {
  expect(JSON.stringify(withOwnPart(store, undefined))).not.toMatch(/\/tmp|\/etc|\/root|nobody/);
});

test("no order changes it on other hosts", () => {
  for (const path of [
    ["backup", "on_success"],
    ["alarms", "command"],
    ["postgres", "bin_dir"],
    ["haproxy", "program"],
    ["replication_log", "file"],
  ]) {
    expect(isOfOneHost(path)).toBe(true);
    expect(refuseChanges([{ path, value: ["/tmp/run"] }])).toContain("is of each host");
  }
  expect(isOfOneHost(["postgres", "parameters", "work_mem"])).toBe(false);
});

test("a host that an earlier version made keeps its user and its data directory, and is told of them by nobody else", async () => {
  const layout = layoutOf(`${temporaryFolder()}/state`);
  await ensureDirectory(layout.stateDir, { mode: 0o755 });
  const { user: _user, data_dir: _dataDir, ...earlier } = record;
  const applied = configured({ user: "erp", nodes: [{ name: "db2", port: 5433, data_dir: "/srv/db2" }] });
  await writeApplied(layout, { format: 1, config: applied, major: 17, config_file: null });
  await ensureDirectory(`${layout.stateDir}/ha`, { mode: 0o755 });
  await writeHostRecord(layout, earlier);
  const whole = await wholeHostRecord(layout);
  expect(whole).toMatchObject({ ...record, user: "erp", data_dir: "/srv/db2" });
  // From then on also what was applied says nothing of it.
  expect(await readHostRecord(layout)).toEqual(whole);
  await writeApplied(layout, { format: 1, config: configured({}), major: 17, config_file: null });
  expect(await wholeHostRecord(layout)).toEqual(whole);
  const config = configOf(documentWith(store), withOwnPlaces(earlier, applied), {
    stateDir: layout.stateDir,
    fileConfig: undefined,
  });
  expect(config.nodes).toEqual([{ name: "db2", host: "10.0.0.2", port: 5433, data_dir: "/srv/db2" }]);
  expect(config.user).toBe("erp");
});
