import type { TlsQuestion } from "../../system/network/mutual-tls.ts";
import type { ClusterDocument } from "../documents/record.ts";

/**
 * Who asks, where it is a host of the cluster now: one that was removed still has its certificate. Of a host with
 * endpoints alone that is `guest`. Pure.
 */
export function askerOf(
  { hosts }: Pick<ClusterDocument, "hosts">,
  { peer, guest }: Pick<TlsQuestion, "peer" | "guest">,
): Pick<TlsQuestion, "peer" | "guest"> {
  const isHost = (name: string | undefined, endpointsAlone: boolean): boolean =>
    hosts.some((host) => host.name === name && (host.role === "endpoints") === endpointsAlone);
  return {
    peer: isHost(peer, false) ? peer : undefined,
    guest: isHost(guest, true) ? guest : undefined,
  };
}
