import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type * as z from "zod";
import { odooPg, nextStep, type NextText } from "../next-step.ts";
import { OdooPgError, toOdooPgError, type ErrorCode } from "../errors.ts";

const STATUS: Partial<Record<ErrorCode, ContentfulStatusCode>> = {
  sign_in_needed: 401,
  not_allowed: 403,
  too_many_tries: 429,
  not_running: 503,
  refused: 409,
  internal: 500,
};

/**
 * Reports an error as every interface does. A defect is reported without its trace, which may contain anything.
 * @param configFile what commands must name to reach this cluster
 */
export function errorAnswer(
  context: Context,
  thrown: unknown,
  configFile: string | undefined,
  status?: ContentfulStatusCode,
): Response {
  const error = toOdooPgError(thrown);
  const told =
    error.code === "internal"
      ? new OdooPgError("internal", {
          message: "Unexpected: the agent's log says more.",
          next: odooPg("logs", "agent"),
        })
      : error;
  return context.json({ version: 1, error: told.toDocument(configFile) }, status ?? statusOf(error));
}

export function statusOf({ code, exit }: OdooPgError): ContentfulStatusCode {
  return STATUS[code] ?? (exit === 2 ? 400 : 500);
}

export function notAllowed(message: string, next?: NextText): OdooPgError {
  return new OdooPgError("not_allowed", {
    message,
    safe: "Nothing was changed.",
    ...(next === undefined ? {} : { next }),
  });
}

export function signInNeeded(): OdooPgError {
  return new OdooPgError("sign_in_needed", {
    message: "Here everything needs a sign-in.",
    next: nextStep`For a link that signs in: ${odooPg("console")}`,
  });
}

/** @throws OdooPgError usage */
export async function parsed<T>(context: Context, schema: z.ZodType<T>): Promise<T> {
  const json: unknown = await context.req.json().catch(() => undefined);
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  throw new OdooPgError("usage", {
    message: `This is not an order the console knows: ${result.error.issues[0]?.message ?? "?"}.`,
    safe: "Nothing was changed.",
  });
}
