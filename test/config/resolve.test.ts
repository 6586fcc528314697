import * as fc from "fast-check";
import { stringify } from "yaml";
import { expect, test } from "vitest";
import { formatOrigin, formatPath, leaves } from "../../src/config/origins.ts";
import { resolveConfig } from "../../src/config/resolve.ts";
import { resolvedConfigSchema } from "../../src/config/schema.ts";
import { LINUX_USER, problemsFrom, problemsIn, resolveEnvironment, resolveText } from "./sources.ts";

test("without a file there is a primary, a replica and both endpoints on loopback", () => {
  const { config } = resolveEnvironment({});
  expect(config).toMatchObject({
    cluster: "odoo",
    state_dir: "/home/ann/.local/state/odoo-pg/odoo",
    listen: ["127.0.0.1"],
    networks: [],
    postgres: { parameters: {} },
    nodes: [
      { name: "pg1", host: "127.0.0.1", port: 5433 },
      { name: "pg2", host: "127.0.0.1", port: 5434 },
    ],
    endpoints: {
      read: { port: 5435, consistency: "read-your-writes", max_lag: 16 * 1024 * 1024 },
      write: { port: 5436 },
    },
    odoo: { role: "odoo", template: "odoo_template", addons_path: [] },
  });
});

test("an empty file, a file of comments and sections without content mean the defaults", () => {
  const { config } = resolveEnvironment({});
  const empty = "endpoints:\n  read:\nnodes:\npostgres:\n  parameters:\ntls:\nnetworks:\n";
  for (const text of ["", "# nothing\n", "---\n", empty]) expect(resolveText(text).config).toEqual(config);
});

test("a file that writes out every default equals the defaults", () => {
  const { config } = resolveEnvironment({});
  expect(resolveText(stringify(config)).config).toEqual(config);
});

test("a resolved configuration can be stored and read again", () => {
  const { config } = resolveText(
    "cluster: prod\nnetworks: [10.0.0.0/8]\npostgres: {parameters: {jit: off}}\n",
  );
  expect(resolvedConfigSchema.parse(JSON.parse(JSON.stringify(config)))).toEqual(config);
});

test("networks open the addresses that are listened on, unless these are given", () => {
  expect(resolveText("networks: [10.0.0.0/24]").config.listen).toEqual(["*"]);
  const given = "networks: [10.0.0.0/24]\nlisten: [127.0.0.1, 10.0.0.1]";
  expect(resolveText(given).config.listen).toEqual(["127.0.0.1", "10.0.0.1"]);
});

test.each([
  [{ isRoot: true, home: "/root", platform: "linux" }, "/var/lib/odoo-pg/odoo"],
  [LINUX_USER, "/home/ann/.local/state/odoo-pg/odoo"],
  [{ ...LINUX_USER, xdgStateHome: "/srv/state" }, "/srv/state/odoo-pg/odoo"],
  [{ ...LINUX_USER, xdgStateHome: "relative" }, "/home/ann/.local/state/odoo-pg/odoo"],
  [
    { isRoot: false, home: "/Users/ann", platform: "darwin" },
    "/Users/ann/Library/Application Support/odoo-pg/odoo",
  ],
])("the state directory suits the platform: %j", (defaults, expected) => {
  expect(resolveConfig({ env: {}, defaults }).config.state_dir).toBe(expected);
});

test("a state directory that leaves no room for sockets is refused, written or by default", () => {
  const long = `/srv/${"x".repeat(80)}`;
  expect(problemsIn(`state_dir: ${long}`)).toEqual([
    expect.stringMatching(/^odoo-pg\.yaml:1: state_dir: .*85 bytes long.*Unix sockets/),
  ]);
  expect(() => resolveConfig({ env: {}, defaults: { ...LINUX_USER, home: long } })).toThrow(
    /^state_dir: the default .*at most 80/,
  );
  expect(resolveText(`state_dir: /${"x".repeat(79)}`).config.state_dir).toHaveLength(80);
});

test("paths are brought into their shortest form", () => {
  expect(resolveText("state_dir: /srv//odoo-pg/./prod/").config.state_dir).toBe("/srv/odoo-pg/prod");
});

test("every value knows where it comes from", () => {
  const { origins } = resolveText(
    "cluster: prod\nnodes:\n  - name: a\n    port: 5433\n  - { name: b, port: 5434 }\npostgres:\n  parameters:\n    Work_Mem: 8MB\n    jit: off\n",
    { PGSQL_JIT: "on" },
  );
  const file = (line: number) => ({ kind: "file", path: "odoo-pg.yaml", line });
  expect(origins.get("cluster")).toEqual(file(1));
  expect(origins.get("nodes[0].name")).toEqual(file(3));
  expect(origins.get("nodes[0].port")).toEqual(file(4));
  expect(origins.get("nodes[0].host")).toEqual({ kind: "default" });
  expect(origins.get("nodes[1].port")).toEqual(file(5));
  expect(origins.get("postgres.parameters.work_mem")).toEqual(file(8));
  expect(origins.get("postgres.parameters.jit")).toEqual({ kind: "environment", name: "PGSQL_JIT" });
  expect(origins.get("endpoints.read.max_lag")).toEqual({ kind: "default" });
});

const nodeNames = fc.uniqueArray(fc.stringMatching(/^[a-z][a-z0-9_]{0,30}$/), { minLength: 1, maxLength: 6 });

const written = fc.record(
  {
    cluster: fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,30}$/),
    networks: fc.subarray(["10.0.0.0/24", "0.0.0.0/0", "fd00::/8", "::/0", "192.168.1.7/32"]),
    nodes: nodeNames.map((names) => names.map((name, index) => ({ name, port: 6000 + index }))),
    endpoints: fc.record(
      {
        read: fc.record(
          {
            port: fc.integer({ min: 1024, max: 5432 }),
            consistency: fc.constantFrom("eventual", "bounded", "read-your-writes"),
            max_lag: fc.oneof(fc.integer({ min: 1 }), fc.constantFrom("1kB", "64MB", "1.5 GB")),
            max_lag_seconds: fc.integer({ min: 1, max: 1000 }),
          },
          { requiredKeys: [] },
        ),
      },
      { requiredKeys: [] },
    ),
    postgres: fc.record({
      parameters: fc.dictionary(
        fc.stringMatching(/^x[a-z0-9]{0,8}(\.[a-z]{1,5})?$/),
        fc.oneof(
          fc.string().filter((text) => !text.includes("\0")),
          fc.integer(),
          fc.boolean(),
        ),
      ),
    }),
  },
  { requiredKeys: [] },
);

test("whatever is written: it is taken, every value has an origin, and it reads back as the same", () => {
  fc.assert(
    fc.property(written, (input) => {
      const { config, origins } = resolveText(stringify(input));
      const paths = leaves(config).map(({ path }) => formatPath(path));
      expect([...origins.keys()]).toEqual(paths);
      expect(config.cluster).toBe(input.cluster ?? "odoo");
      expect(resolvedConfigSchema.parse(config)).toEqual(config);
      const again = resolveText(stringify(config));
      expect(again.config).toEqual(config);
      expect([...again.origins.values()].every(({ kind }) => kind === "file")).toBe(true);
    }),
  );
});

test("a cluster keeps the consistency that it was made with, until the file names one", () => {
  const read = (text: string, kept?: "bounded"): readonly [string, string] => {
    const { config, origins } = resolveConfig({
      file: { path: "odoo-pg.yaml", text },
      env: {},
      defaults: LINUX_USER,
      ...(kept ? { kept: { consistency: kept } } : {}),
    });
    const name = "endpoints.read.consistency";
    return [config.endpoints.read.consistency, formatOrigin(origins.get(name) ?? { kind: "default" })];
  };
  expect(read("")).toEqual(["read-your-writes", "default"]);
  expect(read("", "bounded")).toEqual(["bounded", "kept from when the cluster was created"]);
  const named = "endpoints: {read: {consistency: read-your-writes}}";
  expect(read(named, "bounded")).toEqual(["read-your-writes", "odoo-pg.yaml:1"]);
});

test.each([
  "upstream: {host: 10.0.0.1, password_file: /etc/up}",
  "postgres: {parameters: {synchronous_commit: local}}",
])("commits wait for replicas by default only where nobody else says what they wait for: %s", (text) => {
  expect(resolveText(text).config.endpoints.read.consistency).toBe("bounded");
});

test("a mistake in a file that was made from variables is that of its variable", () => {
  const text = "odoo:\n  role: 'a b'\nnodes:\n  - {name: pg1, port: 0}\n";
  const variables = new Map([["odoo.role", "POSTGRES_USER"]]);
  const problems = problemsFrom(() =>
    resolveConfig({ file: { path: "made.yaml", text, variables }, env: {}, defaults: LINUX_USER }),
  );
  expect(problems).toEqual([
    expect.stringMatching(/^made\.yaml:4: nodes\[0\]\.port: /),
    expect.stringMatching(/^POSTGRES_USER: /),
  ]);
});
