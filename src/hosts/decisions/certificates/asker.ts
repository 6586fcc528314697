import type { X509Certificate } from "node:crypto";
import type { TlsQuestion } from "../../../system/network/mutual-tls.ts";
import { plainSerial, type ClusterDocument } from "../../documents/record.ts";
import { revokedNow } from "./revocation.ts";

/** The parts of a request that say who sends it. */
type Asking = Pick<TlsQuestion, "peer" | "guest" | "id"> & {
  readonly certificate: Pick<X509Certificate, "serialNumber"> | undefined;
};

/**
 * The host that sends a request, if it belongs to the cluster now; `guest` is one with endpoints alone. A valid certificate
 * is not enough: a removed host still has its own, and another machine may have its name by now, or somebody may have
 * written it into the document again. Pure.
 * @param now milliseconds since the epoch
 */
export function askerOf(
  { hosts, revoked }: Pick<ClusterDocument, "hosts" | "revoked">,
  { peer, guest, id, certificate }: Asking,
  now: number,
): Pick<TlsQuestion, "peer" | "guest"> {
  const shown = certificate && plainSerial(certificate.serialNumber);
  if (revokedNow({ revoked }, now).some(({ serial }) => serial === shown))
    return { peer: undefined, guest: undefined };
  const isHost = (name: string | undefined, endpointsAlone: boolean): boolean =>
    hosts.some(
      (host) =>
        host.name === name &&
        (host.role === "endpoints") === endpointsAlone &&
        (host.id === undefined || host.id === id),
    );
  return {
    peer: isHost(peer, false) ? peer : undefined,
    guest: isHost(guest, true) ? guest : undefined,
  };
}
