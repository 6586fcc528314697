import * as z from "zod";

/** Things of a database that a restore cannot make, or not as they were. */
export const lackSchema = z.object({
  code: z.enum([
    /** Only a superuser may make it, and a restore makes nothing as one: it is set aside. */
    "superuser_only",
    /** It needs something of the first. */
    "depends",
    /** A superuser has to make it: a restore does so in the cluster of the backup only. */
    "extension",
    /** It belongs to another role than the database: it stays that role's in the cluster of the backup only. */
    "owner",
    /** It belongs to a superuser: a restore gives it to the owner of the database. */
    "superuser_owner",
  ]),
  /** As PostgreSQL calls the kind of object, such as `event trigger`; of owners the role. */
  of: z.string(),
  count: z.number().int(),
  /** The first 100, as pg_identify_object names them. */
  objects: z.string().array(),
});
export type Lack = z.output<typeof lackSchema>;

/** Objects that a line has room for. */
const SHOWN = 5;

const WORDS: Readonly<Record<Lack["code"], (of: string, names: string) => string>> = {
  superuser_only: (of, names) => `a restore sets aside ${of} ${names}: only a superuser may make it`,
  depends: (of, names) =>
    of === "table"
      ? `no restore succeeds as it is: the rows of table ${names} need something that only a superuser may make`
      : `a restore sets aside ${of} ${names}: it needs something that only a superuser may make`,
  extension: (_of, names) =>
    `a restore makes extension ${names} in this cluster only: elsewhere a superuser has to`,
  owner: (of, names) =>
    `role ${of} owns ${names}: a restore elsewhere gives that to the owner of the database`,
  superuser_owner: (of, names) =>
    `superuser ${of} owns ${names}: a restore gives that to the owner of the database`,
};

/** For people: one line each. */
export function wordsOfLack({ code, of, count, objects }: Lack): string {
  const more = count > SHOWN ? ` and ${count - SHOWN} more` : "";
  return WORDS[code](of, `${objects.slice(0, SHOWN).join(", ")}${more}`);
}
