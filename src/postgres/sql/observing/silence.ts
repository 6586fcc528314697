import type { Silence } from "../../../model/silence.ts";
import { LateError } from "../../../system/clock.ts";
import { messageOf } from "../../../errors.ts";
import { SqlError } from "../../../system/sql/sql.ts";

/** SQLSTATE cannot_connect_now: starting up, shutting down, or recovering. */
const CANNOT_CONNECT_NOW = "57P03";
/** SQLSTATE query_canceled: by statement_timeout. */
const QUERY_CANCELED = "57014";

/**
 * Why a server does not answer, by the error of a session with it.
 * @param timeout milliseconds that it had for its answer
 */
export function silenceOf(error: unknown, timeout?: number): Silence {
  const code = error instanceof SqlError ? error.code : undefined;
  const message = messageOf(error);
  if (code === "ENOENT" || code === "ECONNREFUSED") return { kind: "not_running" };
  if (code === CANNOT_CONNECT_NOW) return { kind: "starting", detail: message };
  // The rest of these are words of node-postgres and of Node.
  if (
    error instanceof LateError ||
    code === "timeout" ||
    code === "ETIMEDOUT" ||
    code === QUERY_CANCELED ||
    /timeout/i.test(message)
  )
    return { kind: "timeout", ...(timeout === undefined ? {} : { detail: `${timeout / 1000} s` }) };
  if (/Connection terminated|not queryable|ECONNRESET|EPIPE/.test(`${message} ${code ?? ""}`))
    return { kind: "connection_lost" };
  // Class 28: invalid authorization; 53300: too many connections; 3D000: no such database.
  if (code !== undefined && /^(?:28...|53300|3D000)$/.test(code)) return { kind: "refused", detail: message };
  return message === "" ? { kind: "other" } : { kind: "other", detail: message };
}
