import { OdooPgError } from "../../errors.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import { waitUntil } from "../../system/clock.ts";
import { isErrno } from "../../system/files/errno.ts";
import { askTls, type TlsAnswer, type TlsIdentity } from "../../system/network/mutual-tls.ts";
import { API_PORT } from "../documents/places.ts";

/** Milliseconds for Patroni to answer: it restarts a server before it does. */
const ANSWER_TIMEOUT = 180_000;

/** Milliseconds for a Patroni that is being started again to answer. */
const BACK_TIMEOUT = 10_000;

/** Asks the Patroni of a host. @throws OdooPgError refused, timed_out; Error where it does not answer */
export async function askPatroni(
  host: { readonly name: string; readonly address: string },
  path: string,
  body: object,
  trust: TlsIdentity,
): Promise<TlsAnswer> {
  const { name, address } = host;
  const ask = async (): Promise<TlsAnswer | undefined> =>
    await askTls({
      host: address,
      port: API_PORT,
      method: "POST",
      path,
      body,
      trust,
      timeout: ANSWER_TIMEOUT,
    }).catch((error: unknown) => {
      // Its agent is restarting it, as after a change of the voting hosts: a refused connection has ordered nothing.
      if (isErrno(error, "ECONNREFUSED")) return undefined;
      throw error;
    });
  let answer = await ask();
  await waitUntil(async () => (answer ??= await ask()) !== undefined, {
    what: `Patroni of ${name} to answer`,
    timeout: BACK_TIMEOUT,
    interval: 250,
    next: nextStep`Look at Patroni's log on ${name}, then run the same command again. How it is: ${odooPg("status")}`,
  });
  if (!answer) throw new Error(`Patroni of ${name} does not answer`);
  if (answer.status !== 412 && answer.status !== 400) return answer;
  throw new OdooPgError("refused", {
    message: `Patroni refuses: ${answer.text.trim()}`,
    safe: "Nothing was changed.",
  });
}
