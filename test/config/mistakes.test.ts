import { distance } from "fastest-levenshtein";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { configSchema } from "../../src/config/schema.ts";
import { keysOf, schemaAt } from "../../src/config/schema-tree.ts";
import { problemsIn } from "./sources.ts";

test("all mistakes are named at once, in the order of their lines, those of the environment last", () => {
  const text = [
    "cluster: Prod",
    "endpoint: {}",
    "nodes:",
    "  - nam: pg1",
    '    port: "5433"',
    "  -",
    "endpoints:",
    "  read: { consistency: bouned, max_lag: 16Mb }",
    "  write: { port: 5435 }",
    "networks: [10.0.0.5/24]",
    "user: root",
  ].join("\n");
  expect(problemsIn(text, { PGSQL_PORT: "5432" })).toEqual([
    'odoo-pg.yaml:1: cluster: is "Prod": it must be lower-case letters, digits, "_" and "-", at most 31, starting with a letter or digit',
    'odoo-pg.yaml:2: endpoint: unknown key; did you mean "endpoints"?',
    "odoo-pg.yaml:4: nodes[0].name: is missing",
    'odoo-pg.yaml:4: nodes[0].nam: unknown key; did you mean "name"?',
    'odoo-pg.yaml:5: nodes[0].port: is the text "5433", but must be a number: remove the quotes',
    "odoo-pg.yaml:6: nodes[1]: has no value: write one, or remove the line",
    'odoo-pg.yaml:8: endpoints.read.consistency: is "bouned", but must be one of eventual, bounded, read-your-writes; did you mean "bounded"?',
    'odoo-pg.yaml:8: endpoints.read.max_lag: "Mb" is not a unit: did you mean "MB"? PostgreSQL knows B, kB, MB, GB and TB, written exactly so',
    'odoo-pg.yaml:10: networks[0]: "10.0.0.5/24" is a host inside a network: write 10.0.0.0/24 for the network, or 10.0.0.5/32 for this one host',
    "odoo-pg.yaml:11: user: must not be root: PostgreSQL refuses to run as root",
    'PGSQL_PORT: "port" cannot be set here: it is set by "nodes[].port"',
  ]);
});

test("mistakes between keys are named even where another section holds a mistake", () => {
  const text = "nodes: [{ name: a, port: 5433 }, { name: a, port: 5433 }]\nuser: root";
  expect(problemsIn(text)).toEqual([
    'odoo-pg.yaml:1: nodes[1].name: "a" is the name of nodes[0] already: every node needs its own',
    "odoo-pg.yaml:1: nodes[1].port: 5433 is the port of nodes[0] on the same host already: choose another one",
    "odoo-pg.yaml:2: user: must not be root: PostgreSQL refuses to run as root",
  ]);
});

test.each([
  ["a: [1\nb: 2", /^odoo-pg\.yaml:2:1: not valid YAML: /],
  ["\tcluster: a", /^odoo-pg\.yaml:1:1: not valid YAML: Tabs/],
  ["cluster: a\n---\ncluster: b", /^odoo-pg\.yaml:2:1: a second document starts here/],
  ["cluster: a\nuser: b\ncluster: c", /^odoo-pg\.yaml:3:1: cluster: is written twice, first in line 1/],
  ["- a", /^odoo-pg\.yaml:1:1: the file must hold lines "key: value"/],
  ["hello", /^odoo-pg\.yaml:1:1: the file must hold lines "key: value"/],
  ["cluster: &a [*a]", /^odoo-pg\.yaml:1:14: cluster\[0\]: refers to another value/],
  ["{ a: b }: c", /^odoo-pg\.yaml:1:1: this cannot be a key/],
  ["__proto__: { cluster: x }", /^odoo-pg\.yaml:1:1: this cannot be a key/],
  ["cluster: !secret a", /^odoo-pg\.yaml:1:10: not valid YAML: Unresolved tag/],
])("syntax: %j is reported with line and column", (text, expected) => {
  expect(problemsIn(text)).toEqual([expect.stringMatching(expected)]);
});

test.each([
  ["port: 5433", 'unknown key here; it belongs under "nodes[]" or "endpoints.read" or "endpoints.write"'],
  ["max_connections: 100", `PostgreSQL's own parameters belong under "postgres.parameters"`],
  ["postgres: { work_mem: 1MB }", `PostgreSQL's own parameters belong under "postgres.parameters"`],
  ["backup: { schedule: now }", '"now" is not a schedule: it needs five fields'],
  ["backup: { schedule: '60 * * * *' }", '"60" is not a minute: it goes from 0 to 59'],
  ["backup: { schedule: '0 0 31 2 *' }", "never comes"],
  ["backup: { custom: false }", "a backup would be empty"],
  ["haproxy: { port: 1 }", "unknown key here; it belongs under"],
  ["cluster: 12", 'is 12, but must be a text: write it in quotes, "12"'],
  ["cluster:", "has no value"],
  ["endpoints: read", "must be a section"],
  ["nodes: { name: a }", "must be a list"],
  ["nodes: [{ name: Pg-1, port: 5433 }]", "name of a replication slot"],
  ["nodes: [{ name: a, port: 80 }]", "must be at least 1024"],
  ["nodes: [{ name: a, port: 70000 }]", "must be at most 65535"],
  ["nodes: [{ name: a, port: 5433.5 }]", "must be a whole number"],
  ["nodes: []", "must have at least one entry"],
  ["nodes: [{ name: a, port: 5436 }]", "5436 is the port of endpoints.write already"],
  ["nodes: [{ name: a, port: 5433, host: 0.0.0.0 }]", "means every address"],
  ["nodes: [{ name: a, port: 5433, host: '10.0.0.1:5433' }]", "holds a port"],
  ["nodes: [{ name: a, port: 5433, host: 10.0.0.300 }]", "is not an IPv4 address"],
  ["nodes: [{ name: a, port: 5433, host: 'a b' }]", "neither an IP address nor a host name"],
  [
    "nodes: [{ name: a, port: 6001, data_dir: /srv/a }, { name: b, port: 6002, data_dir: /srv/a/b }]",
    "overlaps with the data directory of nodes[0]",
  ],
  ["listen: [10.0.0.1]", "does not hold 127.0.0.1, but that is the host of a node"],
  ["listen: []", "must have at least one entry"],
  ["endpoints: { write: { port: 5435 } }", "5435 is the port of endpoints.read already"],
  [
    "upstream: { host: db.example.org }\nendpoints: { read: { pooling: transaction } }",
    "endpoints.read.pooling: pooling needs a primary that odoo-pg runs",
  ],
  ["console: { port: 5435 }", "5435 is the port of endpoints.read already"],
  ["nodes: [{ name: a, port: 5050 }]", "5050 is the port of nodes[0] already"],
  ["console: { listen: ['10.0.0.1:5050'] }", "holds a port"],
  ["endpoints: { read: { max_lag: 0 } }", "must be more than 0"],
  ["endpoints: { read: { max_lag: [1] } }", "must be a size, such as 16MB"],
  ["endpoints: { read: { max_lag_seconds: 0 } }", "must be more than 0"],
  ["tls: { key: /a }", "tls.certificate: is missing"],
  ["tls: { key: a, certificate: /a, ca: /a }", "is not an absolute path"],
  ["odoo: { role: postgres }", "is a role with another purpose"],
  ["odoo: { role: collectd }", "is a role with another purpose"],
  ["odoo: { role: pg_me }", 'names that start with "pg_"'],
  ["odoo: { template: template0 }", "is PostgreSQL's own database"],
  ["odoo: { filestore: ~/x }", 'starts with "~"'],
  ["postgres: { version: 12 }", "must be at least 13"],
  ["postgres: { parameters: { a: [1] } }", "must have one value"],
  ["postgres: { parameters: { a: } }", "must have one value"],
  ["postgres: { parameters: { 'a b': 1 } }", "cannot be the name of a PostgreSQL parameter"],
  ["postgres: { parameters: { jit: 1, JIT: 2 } }", '"jit" is set twice'],
  ['postgres: { parameters: { a: "x\\0y" } }', "NUL byte"],
  ["postgres: { parameters: { wal_level: minimal } }", 'need "replica"'],
  ["postgres: { parameters: { include: /etc/passwd } }", "not a parameter but a directive"],
  ["postgres: { parameters: { recovery_target_time: now } }", "a replica always follows its primary"],
  ["postgres: { parameters: { Listen_Addresses: a } }", 'it is set by "listen"'],
  [
    "endpoints: { read: { consistency: read-your-writes } }\npostgres: { parameters: { synchronous_commit: local } }",
    'breaks what "endpoints.read.consistency: read-your-writes" promises',
  ],
])("%j is refused with words that help", (text, words) => {
  const problems = problemsIn(text);
  expect(problems).not.toEqual([]);
  expect(problems.join("\n")).toContain(words);
  for (const problem of problems) expect(problem).toMatch(/^(odoo-pg\.yaml:\d+: )?[a-z_]+/);
});

test("a password written where its file should be named is not repeated", () => {
  const problems = problemsIn("password_files: { odoo: hunter2 }");
  expect(problems).toEqual([expect.stringContaining("password_files.odoo: must be the absolute path")]);
  expect(problems.join("")).not.toContain("hunter2");
});

const SECTIONS = [
  [],
  ["postgres"],
  ["haproxy"],
  ["nodes", 0],
  ["endpoints"],
  ["endpoints", "read"],
  ["endpoints", "write"],
  ["tls"],
  ["odoo"],
  ["backup"],
  ["password_files"],
];

const knownKeys = SECTIONS.flatMap((section) => {
  const at = schemaAt(configSchema, section);
  const keys = at === undefined ? [] : keysOf(at);
  return keys.map((key) => ({ section, key, siblings: keys }));
});

/** One letter taken out, put in, or replaced. */
function edited(word: string, place: number, letter: string, kind: number): string {
  const at = place % (word.length + 1);
  return word.slice(0, at) + (kind === 0 ? "" : letter) + word.slice(kind === 1 ? at : at + 1);
}

const edit = fc.tuple(fc.nat(40), fc.constantFrom(..."abcdefghijklmnopqrstuvwxyz_".split("")), fc.nat(2));

test("a key misspelt by up to two letters gets that key as a suggestion, unless another key is nearer", () => {
  fc.assert(
    fc.property(fc.constantFrom(...knownKeys), edit, edit, ({ section, key, siblings }, first, second) => {
      const typo = edited(edited(key, ...first), ...second);
      fc.pre(typo !== "" && !siblings.includes(typo));
      const fewest = Math.min(...siblings.map((sibling) => distance(typo, sibling)));
      fc.pre(distance(typo, key) === fewest);
      const inner = `{ "${typo}": 1 }`;
      const text = section.reduceRight<string>(
        (value, part) => (typeof part === "number" ? `[${value}]` : `{ "${part}": ${value} }`),
        inner,
      );
      const unknown = problemsIn(text).filter((line) => line.includes("unknown key"));
      expect(unknown).toEqual([expect.stringContaining(`"${key}"`)]);
    }),
  );
});

test("a misspelt choice gets the choice as a suggestion", () => {
  fc.assert(
    fc.property(
      fc.constantFrom("eventual", "bounded", "read-your-writes"),
      edit,
      edit,
      (word, first, second) => {
        const typo = edited(edited(word, ...first), ...second);
        fc.pre(typo !== word);
        const problems = problemsIn(`endpoints: { read: { consistency: "${typo}" } }`);
        expect(problems).toEqual([expect.stringContaining(`did you mean "${word}"?`)]);
      },
    ),
  );
});
