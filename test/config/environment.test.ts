import * as fc from "fast-check";
import { expect, test } from "vitest";
import { givenPasswordProblem } from "../../src/config/passwords.ts";
import { problemsFrom, problemsIn, resolveEnvironment, resolveText } from "./sources.ts";

const parameterName = fc.stringMatching(/^x[a-z0-9_]{0,12}$/);
const parameterValue = fc.string({ unit: "binary" }).filter((text) => !text.includes("\0"));

test("PGSQL_<NAME> sets a parameter over the file, with its value exactly as it is", () => {
  fc.assert(
    fc.property(parameterName, parameterValue, (name, value) => {
      const { config, origins } = resolveText(`postgres: { parameters: { ${name}: from file, other: 1 } }`, {
        [`PGSQL_${name.toUpperCase()}`]: value,
      });
      expect(config.postgres.parameters).toEqual({ [name]: value, other: "1" });
      const path = `postgres.parameters.${name}`;
      expect(origins.get(path)).toEqual({ kind: "environment", name: `PGSQL_${name.toUpperCase()}` });
    }),
  );
});

test("quotes, line breaks and an empty value stay as they are", () => {
  const env = { PGSQL_A: `it's "so"`, PGSQL_B: "a\nb", PGSQL_C: "" };
  expect(resolveEnvironment(env).config.postgres.parameters).toEqual({ a: `it's "so"`, b: "a\nb", c: "" });
});

test("other variables, and the reserved one, are left alone", () => {
  const env = { PATH: "/bin", PGHOST: "x", PGSQL_HOT_STANDBY: "on", PGSQL_UNSET: undefined };
  expect(resolveEnvironment(env).config).toEqual(resolveEnvironment({}).config);
});

test.each([
  [{ PGSQL_PORT: "1" }, 'PGSQL_PORT: "port" cannot be set here: it is set by "nodes[].port"'],
  [{ PGSQL_SSL: "off" }, 'PGSQL_SSL: "ssl" cannot be set here: it is set by "tls"'],
  [{ PGSQL_WAL_LEVEL: "minimal" }, 'PGSQL_WAL_LEVEL: is "minimal": replicas need "replica"'],
  [{ PGSQL_A: "a\0b" }, "PGSQL_A: holds a NUL byte"],
  [{ PGSQL_: "a" }, 'PGSQL_: "" cannot be the name'],
  [{ "PGSQL_A-B": "a" }, 'PGSQL_A-B: "a-b" cannot be the name'],
  [{ PGSQL___PROTO__: "a" }, 'PGSQL___PROTO__: "__proto__" cannot be the name'],
  [{ PGSQL_A: "1", PGSQL_a: "2" }, 'PGSQL_a: "a" is set twice by the environment'],
  [{ OPENERP_PGSQL_PASSWD: "a\nb" }, "OPENERP_PGSQL_PASSWD: the password holds a line break"],
  [{ REPLICATOR_PGSQL_PASSWD: "é" }, "REPLICATOR_PGSQL_PASSWD: the password holds a character"],
  [{ OPENERP_PGSQL_PASSWD_FILE: "hunter2" }, "OPENERP_PGSQL_PASSWD_FILE: must be the absolute path"],
  [
    { OPENERP_PGSQL_PASSWD: "a", OPENERP_PGSQL_PASSWD_FILE: "/a" },
    "OPENERP_PGSQL_PASSWD_FILE: OPENERP_PGSQL_PASSWD is set too",
  ],
])("%j is refused, naming the variable", (env: Record<string, string>, expected) => {
  const problems = problemsFrom(() => resolveEnvironment(env));
  expect(problems).toHaveLength(1);
  expect(problems[0]?.startsWith(expected)).toBe(true);
  expect(problems[0]).not.toContain("hunter2");
});

test("variables that are empty, as compose hands them on, count as not set", () => {
  const empty = {
    OPENERP_PGSQL_PASSWD: "",
    REPLICATOR_PGSQL_PASSWD_FILE: "",
    SLAVEHOST: "",
    SLAVEPASSWORD: "",
    SLAVEPASSWORD_FILE: "",
    BACKUPS: "",
  };
  const { config, secrets } = resolveEnvironment(empty);
  expect(config).toEqual(resolveEnvironment({}).config);
  expect(secrets).toEqual({});
  const withFile = { OPENERP_PGSQL_PASSWD: "", OPENERP_PGSQL_PASSWD_FILE: "/a" };
  expect(resolveEnvironment(withFile).secrets.openerp).toMatchObject({ kind: "file", path: "/a" });
});

test("false counts as not set where the image odoo/pgsql has it so: no password, no primary, no filter of that name", () => {
  const { config, secrets } = resolveEnvironment({
    OPENERP_PGSQL_PASSWD: "false",
    REPLICATOR_PGSQL_PASSWD: "false",
    SLAVEHOST: "false",
    SLAVEUSER: "false",
    BACKUP_ONLY_FILTER: "false",
  });
  expect(config).toEqual(resolveEnvironment({}).config);
  expect(secrets).toEqual({});
});

test("a mistake in the file is reported although the environment sets the same parameter", () => {
  expect(
    problemsIn("postgres: { parameters: { wal_level: x } }", { PGSQL_WAL_LEVEL: "logical" }),
  ).toHaveLength(1);
});

test("passwords become sources outside of the configuration, the environment over the file", () => {
  const { config, origins, secrets } = resolveText(
    "password_files:\n  odoo: /secrets/odoo\n  openerp: /secrets/openerp\n  replicator: /secrets/replicator\n",
    { OPENERP_PGSQL_PASSWD: "geheim", REPLICATOR_PGSQL_PASSWD_FILE: "/run/secrets/replicator" },
  );
  const environment = (name: string) => ({ kind: "environment", name });
  expect(secrets).toEqual({
    odoo: { kind: "file", path: "/secrets/odoo", origin: { kind: "file", path: "odoo-pg.yaml", line: 2 } },
    openerp: { kind: "value", value: "geheim", origin: environment("OPENERP_PGSQL_PASSWD") },
    replicator: {
      kind: "file",
      path: "/run/secrets/replicator",
      origin: environment("REPLICATOR_PGSQL_PASSWD_FILE"),
    },
  });
  expect(config.password_files).toEqual({ odoo: "/secrets/odoo", replicator: "/run/secrets/replicator" });
  expect(origins.get("password_files.replicator")).toEqual(environment("REPLICATOR_PGSQL_PASSWD_FILE"));
  expect(JSON.stringify(config)).not.toContain("geheim");
});

test("a password is printable ASCII on one line, and no message repeats it", () => {
  expect(givenPasswordProblem("correct horse 'battery' \"staple\" \\")).toBeUndefined();
  fc.assert(
    fc.property(fc.string({ unit: "binary", minLength: 4 }), (text) => {
      const printable = text.split("").every((letter) => letter >= " " && letter <= "~");
      const isFine = printable && text === text.trim() && !/^(?:true|false|none)$/i.test(text);
      const problem = givenPasswordProblem(text);
      expect(problem === undefined).toBe(isFine);
      if (problem !== undefined && text.trim().length > 20) expect(problem).not.toContain(text);
    }),
  );
});

test.each(["secret ", " secret", "  ", "None", "false", "True"])(
  "the password %j, which Odoo would read otherwise from odoo.conf, is refused with the reason",
  (text) => {
    expect(givenPasswordProblem(text)).toContain("odoo.conf");
  },
);

test.each(["a b", "a#b", "#a", ";a", "a ; b", "a=b", ": a", "%(x)s", "$x", "[a]", '"a"', "nonetheless"])(
  "the password %j is Odoo's as it stands, and taken",
  (text) => {
    expect(givenPasswordProblem(text)).toBeUndefined();
  },
);
