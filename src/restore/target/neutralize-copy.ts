import { nextStep, odooPg, sameCommand } from "../../next-step.ts";
import path from "node:path";
import * as z from "zod";
import { isOdooDatabase } from "../../backup/contents/read-contents.ts";
import type { NewDatabase } from "./new-database.ts";
import type { BackupSource } from "../../backup/source.ts";
import { OdooPgError } from "../../errors.ts";
import { kindOf } from "../../system/files/files.ts";
import { inFolder } from "../../system/files/held/folder.ts";
import { explainSql, quoteSqlIdentifier as id } from "../../system/sql/sql.ts";
import { COLUMNS, neutralizeStatements } from "../../odoo/neutralize.ts";

/** Bytes of a neutralize.sql; those of Odoo have a few hundred. */
const MOST_BYTES = 1024 * 1024;

/**
 * Neutralises the copy, in one transaction, as a role that has no rights outside this copy: neutralize.sql of the
 * installed modules, then what every Odoo has.
 */
export async function neutralizeCopy(
  source: BackupSource,
  target: NewDatabase,
  from: string,
): Promise<string[]> {
  const owner = await ownerOfTables(target, from);
  await target.createLoader(owner);
  await target.admitLoader();
  const run: string[] = [];
  await target.loading.use(async (session) => {
    await session.query("BEGIN");
    // With the rights by which Odoo itself would run them.
    await session.query(`SET LOCAL ROLE ${id(owner)}`);
    const modules = await session.query(
      "SELECT name FROM public.ir_module_module WHERE state IN ('installed', 'to upgrade', 'to remove') ORDER BY name",
    );
    for (const row of modules) {
      const file = await scriptOf(source.config.odoo.addons_path, String(row["name"]));
      if (!file) continue;
      try {
        await session.query(file.sql);
      } catch (error) {
        throw explainSql(error, `${file.path} fails`);
      }
      run.push(file.path);
    }
    const columns = z
      .object({ table: z.string(), column: z.string(), nullable: z.boolean(), text: z.boolean() })
      .array()
      .parse(await session.query(COLUMNS));
    for (const statement of neutralizeStatements(columns)) {
      try {
        await session.query(statement);
      } catch (error) {
        throw explainSql(error, `Neutralising fails at: ${statement}`);
      }
    }
    await session.query("COMMIT");
  });
  await target.dismissLoader(owner);
  return run;
}

/**
 * The role that Odoo works as. @throws OdooPgError refused for what is not Odoo's, and for tables of a superuser: then
 * neutralize.sql, and triggers that it fires, could do anything.
 */
async function ownerOfTables(target: NewDatabase, from: string): Promise<string> {
  return await target.superuser.use(async (session) => {
    if (!(await isOdooDatabase(session))) {
      throw new OdooPgError("refused", {
        message: `"${from}" is not a database of Odoo: there is nothing to neutralise.`,
        next: sameCommand([], ["--neutralize"]),
      });
    }
    const [row] = await session.query(
      `SELECT r.rolname AS owner, r.rolsuper AS superuser FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
       WHERE c.oid = 'public.ir_module_module'::regclass`,
    );
    const owner = String(row?.["owner"]);
    if (row?.["superuser"] !== true) return owner;
    throw new OdooPgError("refused", {
      message: `The tables of "${from}" belong to ${owner}, a superuser, with whose rights its triggers would run.`,
      next: nextStep`Give them to Odoo's role first: ALTER TABLE … OWNER TO, in ${odooPg("psql", from)}`,
    });
  });
}

/** neutralize.sql of a module, from the first of the addons paths that has the module. */
async function scriptOf(
  addonsPath: readonly string[],
  module: string,
): Promise<{ path: string; sql: string } | undefined> {
  if (!/^[A-Za-z0-9_]+$/.test(module)) return undefined;
  for (const directory of addonsPath) {
    if ((await kindOf(path.join(directory, module))) !== "directory") continue;
    const file = path.join(directory, module, "data", "neutralize.sql");
    // Odoo's user can write there: no link of that user may lead to files that the user may not read.
    const sql = await inFolder(path.dirname(file), (data) =>
      data.readText(path.basename(file), MOST_BYTES + 1),
    );
    if (sql !== undefined && Buffer.byteLength(sql) > MOST_BYTES)
      throw new OdooPgError("refused", { message: `${file} is too large: more than ${MOST_BYTES} bytes.` });
    return sql === undefined ? undefined : { path: file, sql };
  }
  return undefined;
}
