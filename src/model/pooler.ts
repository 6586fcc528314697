import * as z from "zod";

/** The PgBouncer of an endpoint. */
export const poolerSchema = z.strictObject({
  answers: z.boolean(),
  /** Clients that are connected to it; null where it does not answer. */
  clients: z.int().nonnegative().nullable(),
  /** Sessions of servers that they share: in use, and idle. */
  servers_active: z.int().nonnegative().nullable(),
  servers_idle: z.int().nonnegative().nullable(),
});
export type PoolerStatus = z.output<typeof poolerSchema>;

/** Of both endpoints; null where one does not pool. */
export const poolersSchema = z.strictObject({
  read: poolerSchema.nullable(),
  write: poolerSchema.nullable(),
});
export type PoolersStatus = z.output<typeof poolersSchema>;
