import path from "node:path";
import { OdooPgError } from "../../errors.ts";
import { fileBytes, kindOf, readTextIfAny } from "../../system/files/files.ts";
import type { Context } from "../context.ts";

/** Bytes; an odoo.conf has a few thousand. */
const LARGEST = 1024 * 1024;

/** The text of an odoo.conf that was named. @throws OdooPgError config_invalid where there is none to read. */
export async function readOdooFile(
  { invocation }: Pick<Context, "invocation">,
  named: string,
): Promise<string> {
  const file = path.resolve(invocation.cwd, named);
  const problem = await unreadable(file);
  const text = problem === undefined ? await readTextIfAny(file) : undefined;
  if (text !== undefined) return text;
  throw new OdooPgError("config_invalid", {
    message: `${named}: ${problem ?? "there is no such file"}.`,
    safe: "Nothing was changed.",
    next: "Name the file that Odoo is started with (odoo -c FILE), as a user who may read it.",
  });
}

async function unreadable(file: string): Promise<string | undefined> {
  const kind = await kindOf(file);
  if (kind === undefined) return "there is no such file";
  if (kind !== "file") return "is no file";
  return (await fileBytes(file)) > LARGEST ? "is too large for an odoo.conf" : undefined;
}

/** Where Odoo's packages and manuals put it. */
const USUAL = ["/etc/odoo/odoo.conf", "/etc/odoo.conf", "/etc/odoo-server.conf"];

/** The odoo.conf of this host, where one lies in a usual place. */
export async function usualOdooFile(): Promise<string | undefined> {
  for (const file of USUAL) if ((await kindOf(file).catch(() => undefined)) === "file") return file;
  return undefined;
}
