import type * as z from "zod";
import { parseJson } from "../system/files/json-file.ts";
import { askTls, type TlsIdentity } from "../system/network/mutual-tls.ts";
import { AGENT_PORT } from "./documents/places.ts";

interface Question {
  readonly path: string;
  /** Sent as JSON, by POST. */
  readonly body?: unknown;
  /** Milliseconds for the whole answer. */
  readonly timeout: number;
}

/**
 * What the agent of another host answers; undefined where nothing comes, or something else than the schema says.
 * @param identity of this host
 */
export async function askOtherAgent<T>(
  address: string,
  { path, body, timeout }: Question,
  schema: z.ZodType<T>,
  identity: TlsIdentity,
): Promise<T | undefined> {
  const answer = await askTls({
    host: address,
    port: AGENT_PORT,
    method: body === undefined ? "GET" : "POST",
    path,
    body,
    trust: identity,
    timeout,
  }).catch(() => undefined);
  const parsed = parseJson(answer?.text ?? "", schema);
  return parsed.ok ? parsed.value : undefined;
}
