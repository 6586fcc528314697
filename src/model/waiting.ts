import * as z from "zod";

/** Clients that wait at an endpoint for a server that takes them. */
export const waitingSchema = z.strictObject({
  clients: z.int().nonnegative(),
  /** Seconds that the one has waited who waits longest. */
  longest_seconds: z.number().nonnegative(),
});
export type Waiting = z.output<typeof waitingSchema>;

/** Of both endpoints. */
export const waitingClientsSchema = z.strictObject({ read: waitingSchema, write: waitingSchema });
export type WaitingClients = z.output<typeof waitingClientsSchema>;

/** Seconds of waiting from which a status warns: a restart or a switchover is over before. */
export const LONG_WAIT_SECONDS = 5;
