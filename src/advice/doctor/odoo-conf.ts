import { nextStep, odooPg } from "../../next-step.ts";
import * as z from "zod";
import { OdooPgError } from "../../errors.ts";

/** Odoo writes what is not set as False or None (odoo/tools/config.py). */
const UNSET = new Set(["", "false", "none"]);

const whole = (least: number, most: number) =>
  z
    .string()
    .regex(/^-?\d+$/, "must be a whole number")
    .transform(Number)
    .pipe(z.int().min(least).max(most));

const port = whole(1, 65_535).optional();
const text = z.string().max(1024, "is too long").optional();

/** The options of odoo.conf that doctor reads; the password is not among them. Defaults are those of Odoo 19. */
const optionsSchema = z.object({
  db_host: text,
  db_port: port,
  db_user: text,
  db_sslmode: z.enum(["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]).optional(),
  db_replica_host: text,
  db_replica_port: port,
  db_template: text,
  db_maxconn: whole(1, 100_000).default(64),
  db_maxconn_gevent: whole(1, 100_000).optional(),
  workers: whole(0, 10_000).default(0),
  max_cron_threads: whole(0, 10_000).default(2),
  unaccent: z
    .string()
    .regex(/^(?:true|yes|no|on|off|1|0)$/i, "must be True or False")
    .transform((word) => /^(?:true|yes|on|1)$/i.test(word))
    .default(false),
  limit_time_real: whole(0, 10_000_000).default(120),
  limit_time_real_cron: whole(-1, 10_000_000).default(-1),
});
export type OdooOptions = z.output<typeof optionsSchema>;

export interface OdooConf {
  readonly file: string;
  readonly options: OdooOptions;
}

/**
 * Reads odoo.conf as Odoo does (Python's RawConfigParser): sections, `=` or `:`, `#` and `;` at the start of a line,
 * lines that go on by being indented, names in any case; what stands twice is a mistake.
 * @throws OdooPgError config_invalid, without any value of the file in it: it holds passwords.
 */
export function readOdooConf(file: string, content: string): OdooConf {
  const written = [...sectionOf(file, content)].filter(([, value]) => !UNSET.has(value.toLowerCase()));
  const parsed = optionsSchema.safeParse(Object.fromEntries(written));
  if (parsed.success) return { file, options: parsed.data };
  throw invalid(
    file,
    parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; "),
  );
}

function sectionOf(file: string, content: string): Map<string, string> {
  const options = new Map<string, string>();
  const sections = new Set<string>();
  let section: string | undefined;
  let last: string | undefined;
  for (const [index, line] of content
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\r|\n/)
    .entries()) {
    const at = `line ${index + 1}`;
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#") || trimmed.startsWith(";")) continue;
    if (/^\s/.test(line) && last !== undefined) {
      if (section === "options") options.set(last, `${options.get(last) ?? ""}\n${trimmed}`);
      continue;
    }
    const header = /^\[([^\]]+)\]/.exec(trimmed)?.[1];
    if (header !== undefined) {
      if (sections.has(header)) throw invalid(file, `${at}: section [${header}] stands twice`);
      sections.add(header);
      section = header;
      last = undefined;
      continue;
    }
    const [, name, value] = /^([^=:]+?)\s*[=:]\s*(.*)$/.exec(trimmed) ?? [];
    if (name === undefined || value === undefined)
      throw invalid(file, `${at} is neither a section, an option (NAME = VALUE) nor a comment`);
    if (section === undefined) throw invalid(file, `${at}: an option stands before [options]`);
    last = name.toLowerCase();
    if (section !== "options") continue;
    if (options.has(last)) throw invalid(file, `${at}: ${last} stands twice`);
    options.set(last, value);
  }
  if (!sections.has("options")) throw invalid(file, "there is no section [options]");
  return options;
}

function invalid(file: string, problem: string): OdooPgError {
  return new OdooPgError("config_invalid", {
    message: `${file} is not an odoo.conf that Odoo can read: ${problem}.`,
    safe: "Nothing was changed; doctor changes nothing.",
    next: nextStep`Correct it, or name the file that Odoo is started with: ${odooPg("doctor", "--odoo-conf", "FILE")}`,
  });
}
