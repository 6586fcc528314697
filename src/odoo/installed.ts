import path from "node:path";
import * as z from "zod";
import { pathProblem } from "../config/fields.ts";
import { isUnset, type ConfOptions } from "./read-conf.ts";

/** What an Odoo's own configuration says about it: names and paths, no password. */
export interface InstalledOdoo {
  /** Undefined: the Unix socket. */
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly role: string | undefined;
  /** Undefined where the file leaves it to Odoo. */
  readonly dataDir: string | undefined;
  readonly addonsPath: readonly string[];
  /** Databases that it is limited to; empty where it serves all that its role owns. */
  readonly databases: readonly string[];
}

/** Characters of a value; a path of Linux has at most 4096. */
const LONGEST = 16_384;

const word = z
  .string()
  .max(1024, "is too long")
  .regex(/^\P{Cc}*$/u, "holds a control character");

const list = z
  .string()
  .max(LONGEST, "is too long")
  .transform((text) =>
    text
      .split(",")
      .map((one) => one.trim())
      .filter((one) => one !== ""),
  );

const directory = z.string().superRefine((text, context) => {
  const problem = text.length > 4096 ? "is too long" : pathProblem(text);
  if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
});

const schema = z.object({
  db_host: word.optional(),
  db_port: z
    .string()
    .regex(/^\d{1,5}$/, "must be a port")
    .transform(Number)
    .optional(),
  db_user: word.optional(),
  db_name: list.pipe(word.array()).optional(),
  data_dir: directory.optional(),
  addons_path: list.pipe(directory.array()).optional(),
});

/** The values of the options, or the name of the invalid one in words: without its value. */
export function installedOdoo(options: ConfOptions): InstalledOdoo | string {
  const parsed = schema.safeParse(Object.fromEntries([...options].filter(([, value]) => !isUnset(value))));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return `${String(issue?.path[0])} ${issue?.message}`;
  }
  const { db_host, db_port, db_user, db_name = [], data_dir, addons_path = [] } = parsed.data;
  return {
    host: db_host,
    port: db_port,
    role: db_user,
    dataDir: data_dir,
    addonsPath: addons_path,
    databases: db_name,
  };
}

/**
 * Where the filestores of an Odoo may be. Without `data_dir`, Odoo takes a folder in its user's home, or /var/lib/odoo
 * where there is no home (odoo/tools/config.py, _get_default_datadir); Debian's package has its user's home there.
 * @param home of the user who runs this program
 */
export function possibleFilestores({ dataDir }: Pick<InstalledOdoo, "dataDir">, home: string): string[] {
  const bases =
    dataDir === undefined
      ? ["/var/lib/odoo/.local/share/Odoo", "/var/lib/odoo", path.join(home, ".local/share/Odoo")]
      : [dataDir];
  return [...new Set(bases)].map((base) => path.join(base, "filestore"));
}
