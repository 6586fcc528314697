import type { TlsQuestion } from "../../system/network/mutual-tls.ts";
import type { ClusterDocument } from "../documents/record.ts";

/**
 * Who asks, where it is a host of the cluster now: one that was removed still has its certificate, also when another
 * machine was given its name. Of a host with endpoints alone that is `guest`. Pure.
 */
export function askerOf(
  { hosts }: Pick<ClusterDocument, "hosts">,
  { peer, guest, id }: Pick<TlsQuestion, "peer" | "guest" | "id">,
): Pick<TlsQuestion, "peer" | "guest"> {
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
