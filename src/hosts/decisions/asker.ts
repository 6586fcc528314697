import type { X509Certificate } from "node:crypto";
import type { TlsQuestion } from "../../system/network/mutual-tls.ts";
import { plainSerial, type ClusterDocument } from "../documents/record.ts";
import { revokedNow } from "./revocation.ts";

/** What somebody shows of himself. */
type Asking = Pick<TlsQuestion, "peer" | "guest" | "id"> & {
  readonly certificate: Pick<X509Certificate, "serialNumber"> | undefined;
};

/**
 * Who asks, where it is a host of the cluster now: one that was removed still has its certificate, also when another
 * machine was given its name, or when somebody has written it into the document again. Of a host with endpoints alone that
 * is `guest`. Pure.
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
