import { SqlError } from "../../../system/sql/sql.ts";
import { seen, unseen, type Look } from "../evidence.ts";

/** Looks at one thing; that it cannot be looked at is an answer. */
export async function piece<T>(look: () => Promise<T>): Promise<Look<T>> {
  try {
    return seen(await look());
  } catch (error) {
    return unseen(whyNot(error));
  }
}

/** In a few words, for people. */
function whyNot(error: unknown): string {
  const code = error instanceof SqlError ? error.code : undefined;
  if (code === "ENOENT" || code === "ECONNREFUSED") return "it is not running";
  const message = (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ").trim();
  // 57014 query_canceled: by statement_timeout.
  if (code === "timeout" || code === "57014" || /timeout|no answer within/i.test(message))
    return "it did not answer in time";
  if (/Connection terminated|not queryable|ECONNRESET|EPIPE/.test(message)) return "the connection ended";
  return message || "it cannot be read";
}
