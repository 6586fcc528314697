import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import * as z from "zod";
import { changedLines } from "../../src/advice/tune/line-diff.ts";
import { withoutKey, withValues } from "../../src/advice/tune/yaml-edit.ts";
import { exampleFile } from "../../src/config/documents/example.ts";

const wanted = new Map([
  ["shared_buffers", "1GB"],
  ["jit", "off"],
]);

const documentSchema = z.looseObject({
  postgres: z.looseObject({ parameters: z.record(z.string(), z.unknown()).nullish() }).nullish(),
});

/** The parameters of a text, and everything else in it. */
function readBack(text: string): { parameters: Record<string, unknown>; rest: unknown } {
  const { postgres, ...others } = documentSchema.parse(parse(text) ?? {});
  const { parameters, ...section } = postgres ?? {};
  return { parameters: parameters ?? {}, rest: { ...others, section } };
}

function withParameters(text: string, parameters: ReadonlyMap<string, string>): string | undefined {
  return withValues(text, ["postgres", "parameters"], parameters);
}

/** The text with the parameters; that it reads back as what it should is checked here for every test. */
function written(text: string, parameters = wanted): string {
  const result = withParameters(text, parameters);
  if (result === undefined) throw new Error("not edited");
  const before = readBack(text);
  const after = readBack(result);
  const others = Object.entries(before.parameters).filter(([name]) => !parameters.has(name.toLowerCase()));
  const found = Object.entries(after.parameters).map(([name, value]) =>
    parameters.has(name.toLowerCase()) ? [name.toLowerCase(), String(value)] : [name, value],
  );
  expect(Object.fromEntries(found)).toEqual({
    ...Object.fromEntries(others),
    ...Object.fromEntries(parameters),
  });
  expect(after.rest).toEqual(before.rest);
  return result;
}

describe("parameters are put into a file", () => {
  test("that has some, each in its place, with every comment and blank kept", () => {
    const text = `# our cluster
cluster:   prod   # the shop

postgres:
    parameters:   # tuned by hand
        # measured in May
        Shared_Buffers:   "512MB"   # was 128MB

        work_mem: 32MB # reports
    # below
nodes:
  - { name: pg1, port: 5433 }   # big disk
`;
    expect(written(text)).toBe(`# our cluster
cluster:   prod   # the shop

postgres:
    parameters:   # tuned by hand
        # measured in May
        Shared_Buffers:   1GB   # was 128MB

        work_mem: 32MB # reports
        jit: off
    # below
nodes:
  - { name: pg1, port: 5433 }   # big disk
`);
  });

  test("whose list of parameters is empty, or all comments", () => {
    expect(written(exampleFile())).toContain(
      "  parameters:\n    shared_buffers: 1GB\n    jit: off\n    # log_min_duration_statement: 1s\n",
    );
    expect(written("postgres:\n  # version: 17\n\nnodes:\n  - {name: a, port: 5433}\n")).toContain(
      "postgres:\n  parameters:\n    shared_buffers: 1GB\n    jit: off\n  # version: 17\n",
    );
  });

  test("whose section postgres has no parameters", () => {
    expect(written("postgres: # here\n  # why 15\n  version: 15\n")).toBe(
      "postgres: # here\n  parameters:\n    shared_buffers: 1GB\n    jit: off\n  # why 15\n  version: 15\n",
    );
  });

  test("without a section postgres, at its end", () => {
    expect(written("cluster: prod")).toBe(
      "cluster: prod\n\npostgres:\n  parameters:\n    shared_buffers: 1GB\n    jit: off\n",
    );
    expect(written("  cluster: prod # in\n")).toContain("\n  postgres:\n    parameters:\n      shared");
    expect(written("# only a comment\n")).toBe(
      "# only a comment\n\npostgres:\n  parameters:\n    shared_buffers: 1GB\n    jit: off\n",
    );
    expect(written("")).toBe("postgres:\n  parameters:\n    shared_buffers: 1GB\n    jit: off\n");
  });

  test("that is written in braces", () => {
    expect(written("postgres: {parameters: {work_mem: 1MB}, version: 15} # x\n")).toBe(
      "postgres: {parameters: {work_mem: 1MB, shared_buffers: 1GB, jit: off}, version: 15} # x\n",
    );
    written("postgres: { parameters: { work_mem: 1MB, # why\n  } }\n");
    written("postgres: { parameters: {} }\n");
    written("postgres: { version: 15 }\n");
    written("{ cluster: prod }\n");
  });

  test("with the line ends of Windows", () => {
    expect(written("postgres:\r\n  parameters:\r\n    work_mem: 1MB # x\r\ncluster: prod\r\n")).toBe(
      "postgres:\r\n  parameters:\r\n    work_mem: 1MB # x\r\n    shared_buffers: 1GB\r\n    jit: off\r\ncluster: prod\r\n",
    );
  });

  test("a second time without any change", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("# note", "", "cluster: prod", "user: postgres"), { maxLength: 4 }),
        fc.constantFrom(
          "",
          "postgres:",
          "postgres:\n  version: 15 # fifteen",
          "postgres:\n  parameters:",
          "postgres:\n  parameters:\n    # mine\n    jit: on # for now",
          "postgres:\n   parameters: { work_mem: 1MB }\n   version: 15",
        ),
        fc.array(fc.constantFrom("# end", "", "networks: []"), { maxLength: 3 }),
        (before, section, after) => {
          const text = [...new Set([...before, section, ...after])].join("\n");
          const once = written(text);
          expect(written(once)).toBe(once);
          // What was there stays, in its order: only values of the wanted parameters went.
          const lost = changedLines(text, once).filter((line) => line.startsWith("- "));
          for (const line of lost) expect(line).toMatch(/jit|parameters: \{/);
        },
      ),
    );
  });
});

test("a text that is not to be edited is left alone", () => {
  expect(withParameters("a: [", wanted)).toBeUndefined();
  expect(withParameters("- a\n- b\n", wanted)).toBeUndefined();
  expect(withParameters("postgres: 5\n", wanted)).toBeUndefined();
});

test("the difference of two texts is their changed lines, in order", () => {
  expect(changedLines("a\nb\nc\n", "a\nB\nc\nd\n")).toEqual(["- b", "+ B", "+ d"]);
  expect(changedLines("", "a\n")).toEqual(["+ a"]);
  expect(changedLines("a\n", "a\n")).toEqual([]);
});

describe("values are put into another section", () => {
  const odoo = new Map([
    ["filestore", "/srv/odoo/filestore"],
    ["addons_path", '["/opt/a, b", /opt/c]'],
  ]);

  test.each([
    ["", 'odoo:\n  filestore: /srv/odoo/filestore\n  addons_path: ["/opt/a, b", /opt/c]\n'],
    [
      "odoo:\n    role: odoo18 # ours\n    addons_path: [ /old ]\nnodes: []\n",
      'odoo:\n    role: odoo18 # ours\n    addons_path: ["/opt/a, b", /opt/c]\n    filestore: /srv/odoo/filestore\nnodes: []\n',
    ],
    [
      "odoo: { role: odoo18 }\n",
      'odoo: { role: odoo18, filestore: /srv/odoo/filestore, addons_path: ["/opt/a, b", /opt/c] }\n',
    ],
  ])("of %j", (text, expected) => {
    expect(withValues(text, ["odoo"], odoo)).toBe(expected);
  });

  test("a list over several lines is left to its owner", () => {
    expect(withValues("odoo:\n  addons_path:\n    - /old\n", ["odoo"], odoo)).toBeUndefined();
  });

  test("a text in quotes, even an empty one, is replaced", () => {
    expect(withValues('odoo:\n  filestore: ""\n', ["odoo"], new Map([["filestore", "/srv"]]))).toBe(
      "odoo:\n  filestore: /srv\n",
    );
  });
});

describe("a key is taken out of a file", () => {
  const gone = (text: string, key = "mail"): string | undefined => withoutKey(text, ["alarms"], key);

  test("with what stands below it, and nothing else", () => {
    const text = `# ours
alarms:
  # who is called
  mail:   # by SMTP
    host: smtp.example.com   # inside
    to:
      - admin@example.com
  # the chat
  slack_file: /etc/slack # secret
nodes: []
`;
    expect(gone(text)).toBe(`# ours
alarms:
  # who is called
  # the chat
  slack_file: /etc/slack # secret
nodes: []
`);
    expect(gone(text, "slack_file")).toBe(text.replace("  slack_file: /etc/slack # secret\n", ""));
  });

  test.each([
    ["alarms:\n  mail: {host: a}", "alarms:\n"],
    ["alarms:\r\n  mail:\r\n    host: a\r\ncluster: prod\r\n", "alarms:\r\ncluster: prod\r\n"],
    ["alarms: {mail: {host: a}, slack_file: /s}\n", "alarms: {slack_file: /s}\n"],
    ["alarms: {slack_file: /s, mail: {host: a}}\n", "alarms: {slack_file: /s}\n"],
    ["alarms: {mail: {host: a}}\n", "alarms: {}\n"],
    ["{alarms: {mail: a, rules: {}}}", "{alarms: {rules: {}}}"],
    ["alarms:\n  mail: >\n    long\n    text\n\n  rules: {}\n", "alarms:\n\n  rules: {}\n"],
  ])("in the form %j", (text, wanted) => {
    expect(gone(text)).toBe(wanted);
  });

  test.each([
    "",
    "alarms:\n",
    "alarms:\n  rules: {}\n",
    "alarms: [mail]\n",
    "mail: a\n",
    "alarms: {mail: a, # why\n  rules: {}}\n",
  ])("but not where it is not, or a comment could go with it: %j", (text) => {
    expect(gone(text)).toBeUndefined();
  });
});
