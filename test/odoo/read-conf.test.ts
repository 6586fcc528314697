import { execFileSync } from "node:child_process";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { installedOdoo, possibleFilestores } from "../../src/odoo/installed.ts";
import { readConf } from "../../src/odoo/read-conf.ts";

/** What Odoo does with a file (odoo/tools/config.py, _load_file_options); null where Python refuses it. */
const AS_ODOO = `
import configparser, io, json, sys
def read(text):
    parser = configparser.RawConfigParser()
    try:
        parser.read_file(io.StringIO(text, newline=None))
        return dict(parser.items("options"))
    except configparser.Error:
        return None
print(json.dumps([read(text) for text in json.load(sys.stdin)]))
`;

const answersSchema = z.record(z.string(), z.string()).nullable().array();

function asPython(texts: readonly string[]): z.output<typeof answersSchema> {
  const printed = execFileSync("python3", ["-c", AS_ODOO], {
    input: JSON.stringify(texts),
    encoding: "utf8",
  });
  return answersSchema.parse(JSON.parse(printed));
}

/** Lines as files hold them, and such as they should not. */
const line = fc.oneof(
  fc.constantFrom(
    "[options]",
    "[options]",
    "[DEFAULT]",
    "[queue_job]",
    "  [options]",
    "[a]b]",
    "[]",
    "",
    "   ",
    "# one",
    "  ; two",
    "db_host = 10.0.0.5",
    "DB_Host: other",
    "db_port=5432",
    "  db_port = 5433",
    "    more",
    "\tmore = still",
    "\t",
    "addons_path = /a,",
    "    /b,",
    "  /c",
    "= nothing",
    "name",
    "name =",
    "db_password = p%(w)s;#d = x",
    "a b : c",
    "x :=y",
  ),
  fc.stringMatching(/^[ a=:#;[\]]{0,8}$/),
);
const file = fc
  .array(line, { maxLength: 12 })
  .chain((lines) => fc.constantFrom("\n", "\r\n").map((end) => lines.join(end)))
  .map((text) => `[options]\n${text}\n`);

describe("odoo.conf", () => {
  test("is read as Python's configparser reads it, whatever stands in it", () => {
    const texts = [
      ...fc.sample(file, 3000),
      ...fc.sample(fc.array(line, { maxLength: 8 }), 500).map((lines) => lines.join("\n")),
    ];
    const answers = asPython(texts);
    expect(answers.filter((answer) => answer !== null).length).toBeGreaterThan(300);
    for (const [index, text] of texts.entries()) {
      const read = readConf(text);
      const told = read.ok
        ? Object.fromEntries([...read.options].map(([name, value]) => [name, flat(value)]))
        : null;
      const expected = answers[index] ?? null;
      const inPython = expected && Object.fromEntries(Object.entries(expected).map(([n, v]) => [n, flat(v)]));
      expect({ text, told }).toEqual({ text, told: inPython });
    }
  });

  test("holds what was wanted after it was rewritten, and everything else as before", () => {
    const wanted = [
      { name: "db_host", value: "127.0.0.1", reason: "the write endpoint" },
      { name: "db_replica_port", value: "5435", reason: "always explicit" },
    ];
    fc.assert(
      fc.property(file, (text) => {
        const before = readConf(text);
        fc.pre(before.ok);
        const after = readConf(before.rewrite(wanted));
        if (!after.ok) throw new Error(after.problem);
        const expected = new Map([...before.options, ["db_host", "127.0.0.1"], ["db_replica_port", "5435"]]);
        const plain = (options: ReadonlyMap<string, string>) =>
          Object.fromEntries([...options].map(([name, value]) => [name, flat(value)]));
        expect(plain(after.options)).toEqual(plain(expected));
        expect(after.rewrite(wanted)).toBe(before.rewrite(wanted));
      }),
    );
  });

  test("keeps comments, order and sections when it is rewritten; what a value went on with goes with it", () => {
    const text = `; ours
[options]
db_host = old-server
# the port
db_port = 5432
addons_path = /a,
    /b
db_name = one,
    two

[queue_job]
db_host = stays
`;
    const read = readConf(text);
    if (!read.ok) throw new Error(read.problem);
    const rewritten = read.rewrite([
      { name: "db_host", value: "127.0.0.1", reason: "why" },
      { name: "db_name", value: "three", reason: "why" },
      { name: "db_sslmode", value: "prefer", reason: "TLS where it is offered" },
    ]);
    expect(rewritten).toBe(`; ours
[options]
db_host = 127.0.0.1
# the port
db_port = 5432
addons_path = /a,
    /b
db_name = three
; TLS where it is offered
db_sslmode = prefer

[queue_job]
db_host = stays
`);
  });

  test("of a line that is as long as a file may be is read at once", () => {
    const blanks = " ".repeat(1_000_000);
    expect(readConf(`[options]\na${blanks}b\n`)).toMatchObject({ ok: false });
    expect(readConf(`[options]\na${blanks}=${blanks}b\n`)).toMatchObject({ options: new Map([["a", "b"]]) });
  });

  test("that cannot be read is told without a value of it", () => {
    const read = readConf("[options]\ndb_password = hunter2\nhunter2\n");
    expect(read).toEqual({
      ok: false,
      problem: "line 3 is neither a section, an option (NAME = VALUE) nor a comment",
    });
  });
});

describe("what an Odoo has", () => {
  const options = (text: string) => {
    const read = readConf(`[options]\n${text}`);
    if (!read.ok) throw new Error(read.problem);
    return installedOdoo(read.options);
  };

  test("is told by its options; what is False is not set", () => {
    expect(
      options(
        "db_host = False\ndb_port = 5433\ndb_user = odoo\ndata_dir = /srv/odoo\naddons_path = /a,\n  /b\ndb_name = x, y",
      ),
    ).toEqual({
      host: undefined,
      port: 5433,
      role: "odoo",
      dataDir: "/srv/odoo",
      addonsPath: ["/a", "/b"],
      databases: ["x", "y"],
    });
  });

  test.each([
    ["data_dir = relative", "data_dir"],
    ["db_port = 5432; rm -rf", "db_port"],
    ["db_host = a\u001b]0;b", "db_host"],
    ["addons_path = /a, ~/b", "addons_path"],
    [`data_dir = /${"x".repeat(5000)}`, "data_dir"],
  ])("%j is refused by its name, without its value", (text, name) => {
    const told = options(text);
    expect(told).toContain(name);
    expect(told).not.toContain("rm -rf");
  });

  test("has its filestore in data_dir, or where Odoo puts it by itself", () => {
    expect(possibleFilestores({ dataDir: "/srv/odoo" }, "/root")).toEqual(["/srv/odoo/filestore"]);
    expect(possibleFilestores({ dataDir: undefined }, "/root")).toEqual([
      "/var/lib/odoo/.local/share/Odoo/filestore",
      "/var/lib/odoo/filestore",
      "/root/.local/share/Odoo/filestore",
    ]);
  });
});

/** A value without its line ends: Python keeps empty lines inside of a value. */
function flat(value: string): string {
  return value
    .split("\n")
    .filter((one) => one !== "")
    .join("\n");
}
