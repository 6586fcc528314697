import path from "node:path";
import { OdooPgError } from "../../errors.ts";
import { kindOf } from "../../system/files/files.ts";
import { inFolder, type Folder } from "../../system/files/held/folder.ts";
import type { Context } from "../context.ts";

/** Maximum bytes; an odoo.conf has a few thousand. */
const LARGEST = 1024 * 1024;

/** The text of an odoo.conf that was named. @throws OdooPgError config_invalid where there is none to read. */
export async function readOdooFile(
  { invocation }: Pick<Context, "invocation">,
  named: string,
): Promise<string> {
  const file = path.resolve(invocation.cwd, named);
  const found = await inFolder(path.dirname(file), (folder) => readOf(folder, path.basename(file)));
  const { text, problem } = found ?? { text: undefined, problem: "there is no such file" };
  if (text !== undefined) return text;
  throw new OdooPgError("config_invalid", {
    message: `${named}: ${problem}.`,
    safe: "Nothing was changed.",
    next: "Name the file that Odoo is started with (odoo -c FILE), as a user who may read it.",
  });
}

/** Odoo's user may change the folder: no link of that user may lead root to files that the user may not read. */
function readOf(folder: Folder, name: string): { readonly text?: string; readonly problem: string } {
  const entry = name === "" ? undefined : folder.look(name);
  if (entry?.isSymbolicLink()) return { problem: "is a link: name the file it points to" };
  if (name === "" || entry?.isFile() === false) return { problem: "is not a file" };
  if (entry === undefined) return { problem: "there is no such file" };
  if (entry.size > LARGEST) return { problem: "is too large for an odoo.conf" };
  const text = folder.readText(name, LARGEST);
  return text === undefined
    ? { problem: "cannot be read by the user who owns its folder" }
    : { text, problem: "" };
}

/** Paths used by Odoo's packages and manuals. */
const USUAL = ["/etc/odoo/odoo.conf", "/etc/odoo.conf", "/etc/odoo-server.conf"];

/** The odoo.conf of this host, where one is in a usual place. */
export async function usualOdooFile(): Promise<string | undefined> {
  for (const file of USUAL) if ((await kindOf(file).catch(() => undefined)) === "file") return file;
  return undefined;
}
