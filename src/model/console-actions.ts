import * as z from "zod";

const name = z.string().min(1).max(200);

/**
 * What can be done from the page. Each is a command; what it may do, and what it refuses, is the command's own
 * business.
 */
export const actionSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("backup"), database: name.optional() }),
  /** Restores backups into scratch databases and compares: the newest of each database, or one. */
  z.strictObject({ kind: z.literal("prove"), backup: name.optional() }),
  /** Brings a second of the window back beside the cluster, and reads all of it. */
  z.strictObject({ kind: z.literal("prove_second") }),
  z.strictObject({ kind: z.literal("restore_copy"), backup: name, as: name, neutralize: z.boolean() }),
  /** Restores a file that was uploaded before. */
  z.strictObject({ kind: z.literal("restore_upload"), upload: z.uuid(), as: name, neutralize: z.boolean() }),
  z.strictObject({
    kind: z.literal("restore_moment"),
    database: name,
    at: z.iso.datetime(),
    as: name,
    neutralize: z.boolean(),
  }),
  z.strictObject({ kind: z.literal("switchover"), to: name.optional() }),
  z.strictObject({ kind: z.literal("reseed"), node: name }),
  z.strictObject({ kind: z.literal("rejoin"), node: name }),
  z.strictObject({ kind: z.literal("copy"), source: name, copy: name, neutralize: z.boolean() }),
  /** Puts a new copy, neutralised, in the place of a staging database. */
  z.strictObject({ kind: z.literal("refresh_staging"), source: name, copy: name }),
  z.strictObject({ kind: z.literal("rename_database"), database: name, to: name }),
  z.strictObject({ kind: z.literal("drop_database"), database: name }),
  /** Writes one setting that `tune` advises into the configuration file. */
  z.strictObject({ kind: z.literal("accept_setting"), setting: name }),
  /** Has the servers of an earlier cluster count their statements. */
  z.strictObject({ kind: z.literal("count_statements") }),
  /** Puts right what doctor found, where that is safe. */
  z.strictObject({ kind: z.literal("fix"), code: name.regex(/^[a-z][a-z0-9_]*$/) }),
  z.strictObject({ kind: z.literal("test_alarms") }),
  /** Sets up a channel whose address was given before, apart from the action: it is a secret. */
  z.strictObject({ kind: z.literal("set_alarm"), channel: z.enum(["webhook", "slack"]) }),
  /** Removes a channel, whichever user set it up. */
  z.strictObject({
    kind: z.literal("unset_alarm"),
    channel: z.enum(["mail", "webhook", "slack", "telegram", "healthchecks", "command"]),
  }),
  z.strictObject({
    kind: z.literal("set_mail"),
    host: name,
    port: z.int().min(1).max(65_535).optional(),
    security: z.enum(["starttls", "tls", "none"]),
    user: name.optional(),
    from: name,
    to: z.string().min(1).max(2000),
    /** Whether its password was given before; else the present one stays. */
    password: z.boolean(),
  }),
  /** Applies what the configuration file says, as `up` does. */
  z.strictObject({ kind: z.literal("apply") }),
  z.strictObject({ kind: z.literal("cancel_session"), pid: z.int().positive() }),
  z.strictObject({ kind: z.literal("terminate_session"), pid: z.int().positive() }),
]);
export type Action = z.output<typeof actionSchema>;

/**
 * What has to be typed before an action: the node or the database whose data is replaced or goes, as it may be the last
 * copy of what only that one has. Undefined where a click is enough. It is sent as `confirm`.
 */
export function confirmationOf(action: Action): string | undefined {
  if (action.kind === "reseed" || action.kind === "rejoin") return action.node;
  if (action.kind === "refresh_staging") return action.copy;
  return action.kind === "drop_database" ? action.database : undefined;
}
