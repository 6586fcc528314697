import * as fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { programOf } from "../../../src/postgres/installation.ts";
import { configurationErrors } from "../../../src/postgres/sql/operations.ts";
import { conninfo, quoteHba, quotePassfileField, quoteSetting } from "../../../src/postgres/sql/quoting.ts";
import { renderSynchronous, synchronousNames } from "../../../src/postgres/render.ts";
import { scramVerifier } from "../../../src/postgres/sql/access/scram.ts";
import { writeFileAtomic } from "../../../src/system/files/files.ts";
import { temporaryDirectory } from "../../../src/system/files/temporary-directory.ts";
import { run } from "../../../src/system/process/process.ts";
import { quoteSqlLiteral, type Session } from "../../../src/system/sql/sql.ts";
import { anyText, passwordText } from "../../support/texts.ts";
import { runningNode, type ThrowawayNode } from "../throwaway-node.ts";

let node: ThrowawayNode;
let session: Session;

beforeAll(async () => {
  node = await runningNode();
  session = await node.session();
  await session.query("CREATE ROLE trusted LOGIN; CREATE ROLE proven LOGIN");
  await node.writeHba("local all proven scram-sha-256\nlocal all all trust\n");
  await session.query("SELECT pg_reload_conf()");
});

/** Settings of a file that the server includes, as its parser reads them now. */
async function readSettings(text: string): Promise<Record<string, unknown>[]> {
  await writeFileAtomic(node.files.synchronousFile, text, { owner: node.owner });
  return await session.query(
    "SELECT name, setting, error FROM pg_file_settings WHERE sourcefile = $1 ORDER BY sourceline",
    [node.files.synchronousFile],
  );
}

async function psql(connection: string, statement: string, environment: Record<string, string> = {}) {
  return await run(programOf(node.installation, "psql"), ["-X", "-w", "-Atc", statement, connection], {
    environment,
    owner: node.owner,
  });
}

const socket = (): Record<string, string | number> => ({ host: node.layout.runDir, port: node.node.port });

test("the server reads every value of postgresql.conf as it was meant", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyText, { minLength: 1, maxLength: 150 }), async (values) => {
      const lines = values.map((value, index) => `t.v${index} = ${quoteSetting(value)}  # why\n`);
      expect(await readSettings(lines.join(""))).toEqual(
        values.map((setting, index) => ({ name: `t.v${index}`, setting, error: null })),
      );
    }),
    { numRuns: 20 },
  );
  expect(() => quoteSetting("a\0b")).toThrow(RangeError);
});

test("the server reads every name of pg_hba.conf as it was meant", async () => {
  // PostgreSQL 16 and later read a name that begins with "/" as a regular expression, quoted or not.
  const name = anyText.map((text) => text.replaceAll(/[\r\n]|^\/+/g, ""));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(name, name), { minLength: 1, maxLength: 100 }), async (pairs) => {
      const lines = pairs.map(
        ([database, user]) => `local ${quoteHba(database)} ${quoteHba(user)} reject # why\n`,
      );
      await node.writeHba(lines.join(""));
      const rows = await session.query(
        "SELECT database, user_name, auth_method, error FROM pg_hba_file_rules ORDER BY line_number",
      );
      expect(rows).toEqual(
        pairs.map(([database, user]) => ({
          database: [database],
          user_name: [user],
          auth_method: "reject",
          error: null,
        })),
      );
    }),
    { numRuns: 20 },
  );
  expect(() => quoteHba("a\nb")).toThrow(RangeError);
});

test("libpq reads every value of a connection string as it was meant", async () => {
  await fc.assert(
    // libpq takes an empty application_name as one that is not given.
    fc.asyncProperty(passwordText, async (name) => {
      const shown = await psql(
        conninfo({ application_name: name, ...socket(), user: "trusted", dbname: "postgres" }),
        "SHOW application_name",
      );
      expect(shown).toEqual({ exitCode: 0, stdout: name, stderr: "" });
    }),
    { numRuns: 25 },
  );
});

test("line breaks and characters outside of ASCII pass through a connection string", async () => {
  // The server repeats the name of a role that it does not have, whatever it is.
  const name = anyText.filter((text) => text !== "" && Buffer.byteLength(text) < 63);
  await fc.assert(
    fc.asyncProperty(name, async (user) => {
      const refused = await psql(
        conninfo({ user: `no ${user}`, ...socket(), dbname: "postgres" }),
        "SELECT 1",
      );
      expect(refused.stderr).toContain(`role "no ${user}" does not exist`);
    }),
    { numRuns: 25 },
  );
});

test("libpq finds every password in a password file", async () => {
  await temporaryDirectory(node.owner, async (folder) => {
    const file = `${folder}/p\\a:ss`;
    await fc.assert(
      fc.asyncProperty(passwordText, async (password) => {
        await session.query(`ALTER ROLE proven PASSWORD ${quoteSqlLiteral(scramVerifier(password))}`);
        const fields = [node.layout.runDir, String(node.node.port), "*", "proven", password];
        const wrong = ["*", "*", "data:b\\ase", "proven", "wrong"];
        const lines = [wrong, fields].map((line) =>
          line.map((field) => (field === "*" ? "*" : quotePassfileField(field))).join(":"),
        );
        await writeFileAtomic(file, `${lines.join("\n")}\n`, { owner: node.owner });
        const shown = await psql(
          conninfo({ ...socket(), user: "proven", dbname: "postgres" }),
          "SELECT session_user",
          { PGPASSFILE: file },
        );
        expect(shown).toEqual({ exitCode: 0, stdout: "proven", stderr: "" });
      }),
      { numRuns: 25 },
    );
  });
});

test("a password file is found by a connection string that names it", async () => {
  await temporaryDirectory(node.owner, async (folder) => {
    const file = `${folder}/it's a "file" \\ for 雪`;
    await session.query(`ALTER ROLE proven PASSWORD ${quoteSqlLiteral(scramVerifier("pass:word"))}`);
    await writeFileAtomic(file, `*:*:*:proven:${quotePassfileField("pass:word")}\n`, { owner: node.owner });
    const shown = await psql(
      conninfo({ ...socket(), user: "proven", dbname: "postgres", passfile: file }),
      "SELECT session_user",
    );
    expect(shown.stdout).toBe("proven");
  });
});

test("the server accepts every list of synchronous replicas, and the names are read back from it", async () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9_]{0,30}$/);
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(name, { maxLength: 8 }), fc.boolean(), async (names, readYourWrites) => {
      const text = renderSynchronous(readYourWrites, names);
      expect(synchronousNames(text)).toEqual([...names].sort());
      const rows = await readSettings(text);
      expect(rows.map((row) => row["error"])).toEqual(rows.map(() => null));
      expect(await configurationErrors(session)).toEqual([]);
      const list = names.length
        ? `${names.length} (${[...names]
            .sort()
            .map((each) => `"${each}"`)
            .join(", ")})`
        : "";
      expect(rows[0]).toMatchObject({ name: "synchronous_standby_names", setting: list });
      expect(rows.some((row) => row["name"] === "synchronous_commit")).toBe(readYourWrites);
    }),
    { numRuns: 20 },
  );
});
