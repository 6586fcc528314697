import { nextStep, odooPg } from "../../next-step.ts";
import * as z from "zod";
import { OdooPgError } from "../../errors.ts";
import { isUnset, readConf } from "../../odoo/read-conf.ts";

const whole = (least: number, most: number) =>
  z
    .string()
    .regex(/^-?\d+$/, "must be a whole number")
    .transform(Number)
    .pipe(z.int().min(least).max(most));

const port = whole(1, 65_535).optional();
/** A value that goes on in the next line would begin a line of doctor's. */
const text = z
  .string()
  .max(1024, "is too long")
  .regex(/^\P{Cc}*$/u, "holds a control character")
  .optional();

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
 * The options of odoo.conf that doctor checks.
 * @throws OdooPgError config_invalid, without any value of the file in it: it holds passwords.
 */
export function readOdooConf(file: string, content: string): OdooConf {
  const read = readConf(content);
  if (!read.ok) throw invalid(file, read.problem);
  const written = [...read.options].filter(([, value]) => !isUnset(value));
  const parsed = optionsSchema.safeParse(Object.fromEntries(written));
  if (parsed.success) return { file, options: parsed.data };
  throw invalid(
    file,
    parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; "),
  );
}

function invalid(file: string, problem: string): OdooPgError {
  return new OdooPgError("config_invalid", {
    message: `${file} is not an odoo.conf that Odoo can read: ${problem}.`,
    safe: "Nothing was changed; doctor changes nothing.",
    next: nextStep`Correct it, or name the file that Odoo is started with: ${odooPg("doctor", "--odoo-conf", "FILE")}`,
  });
}
