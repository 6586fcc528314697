import * as fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { programOf } from "../../../src/postgres/installation.ts";
import { conninfo } from "../../../src/postgres/sql/quoting.ts";
import { scramVerifier, verifierFits } from "../../../src/postgres/sql/access/scram.ts";
import { run } from "../../../src/system/process/process.ts";
import { quoteSqlLiteral } from "../../../src/system/sql/sql.ts";
import { withSession } from "../../support/with-session.ts";
import { passwordText } from "../../support/texts.ts";
import { runningNode, type ThrowawayNode } from "../throwaway-node.ts";

const password = 'it\'s 32% \\ "safe" : # $HOME';
let node: ThrowawayNode;

beforeAll(async () => {
  node = await runningNode();
  const session = await node.session();
  await session.query(`CREATE ROLE scram LOGIN PASSWORD ${quoteSqlLiteral(scramVerifier(password))}`);
});

async function logInWithPsql(given: string) {
  const target = { host: node.layout.runDir, port: node.node.port, user: "scram", dbname: "postgres" };
  return await run(
    programOf(node.installation, "psql"),
    ["-X", "-w", "-Atc", "SELECT session_user", conninfo(target)],
    {
      environment: { PGPASSWORD: given },
      owner: node.owner,
    },
  );
}

test("a role with a verifier logs in with its password, by libpq and by the driver", async () => {
  expect(await logInWithPsql(password)).toMatchObject({ exitCode: 0, stdout: "scram" });
  const rows = await withSession({ ...node.superuser, user: "scram", password }, (session) =>
    session.query("SELECT session_user AS name"),
  );
  expect(rows).toEqual([{ name: "scram" }]);
});

test("the wrong password is refused, by libpq and by the driver", async () => {
  expect((await logInWithPsql(`${password} `)).stderr).toContain("password authentication failed");
  await expect(
    withSession({ ...node.superuser, user: "scram", password: "wrong" }, () => Promise.resolve()),
  ).rejects.toMatchObject({ code: "28P01" });
});

test("a verifier that the server made fits its password", async () => {
  const session = await node.session();
  await session.query(
    `SET password_encryption = 'scram-sha-256'; CREATE ROLE made PASSWORD ${quoteSqlLiteral(password)}`,
  );
  const [row] = await session.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'made'");
  expect(verifierFits(String(row?.["rolpassword"]), password)).toBe(true);
  expect(verifierFits(String(row?.["rolpassword"]), "other")).toBe(false);
});

test("a verifier fits its own password and no other, and is never made twice", () => {
  fc.assert(
    fc.property(passwordText, passwordText, (one, other) => {
      const verifier = scramVerifier(one);
      expect(verifierFits(verifier, one)).toBe(true);
      expect(verifierFits(verifier, other)).toBe(one === other);
      expect(scramVerifier(one)).not.toBe(verifier);
    }),
    { numRuns: 50 },
  );
});

test("nothing but a whole SCRAM verifier fits", () => {
  const whole = scramVerifier("secret");
  const broken = [
    null,
    "",
    "secret",
    "md5d41d8cd98f00b204e9800998ecf8427e",
    whole.slice(0, -4),
    `${whole}=`,
    "SCRAM-SHA-256$4096:AAAA$",
  ];
  for (const verifier of broken) expect(verifierFits(verifier, "secret")).toBe(false);
});
