/**
 * Who votes in the store, and how the members get there: always an odd number, one more voter at a time, each proven
 * before it counts.
 */

/** A host that may have a vote. */
export interface VoterHost {
  readonly name: string;
  readonly peerUrl: string;
  /** Whether its agent answers now: only then its member can be started. */
  readonly answers: boolean;
}

/** A member as the store lists it. */
export interface VoterMember {
  readonly id: string;
  readonly peerUrl: string;
  readonly isLearner: boolean;
  /** Whether it runs and follows the store's leader. */
  readonly isLevel: boolean;
}

/** The next change of the store's members. One at a time: the store refuses a second before the first is settled. */
export type VoterStep =
  | { readonly kind: "add"; readonly host: string; readonly peerUrl: string }
  | { readonly kind: "promote"; readonly id: string }
  | { readonly kind: "remove"; readonly id: string };

/** Most votes: more of them make each write slower and add no safety that is needed here. */
const MOST_VOTES = 5;

/** Voters that must agree. */
export function majorityOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/**
 * Who should vote, of hosts in the order in which they came: all, or one less where that would be an even number, which
 * survives no more and fails sooner. Of two hosts the first votes alone: so a second takes nothing away.
 */
export function wantedVoters<T>(hosts: readonly T[]): readonly T[] {
  const most = Math.min(hosts.length, MOST_VOTES);
  return hosts.slice(0, most % 2 === 1 ? most : Math.max(0, most - 1));
}

/**
 * The next step that brings the store's members nearer to who should vote; undefined where nothing is to be done now.
 * Pure, and asked again and again, so the work may be interrupted anywhere.
 *
 * 1. A member whose host is gone for good loses its vote first: a vote that is never cast counts against the majority.
 * 2. A member that has caught up gets its vote once all others that are still missing can follow at once: between one
 *    voter and three there are two, neither of which may fail: that state must last only seconds.
 * 3. A missing member is added without a vote.
 * 4. A surplus member is removed, never the last one.
 */
export function nextVoterStep(
  hosts: readonly VoterHost[],
  members: readonly VoterMember[],
): VoterStep | undefined {
  // Not seen yet.
  if (!members.length) return undefined;
  const known = new Set(hosts.map(({ peerUrl }) => peerUrl));
  const voters = members.filter(({ isLearner }) => !isLearner);
  const stranger = members.find(({ peerUrl }) => !known.has(peerUrl));
  if (stranger && (stranger.isLearner || voters.length > 1)) return { kind: "remove", id: stranger.id };

  const wanted = wantedVoters(hosts);
  const missing = wanted.filter(({ peerUrl }) => !voters.some((voter) => voter.peerUrl === peerUrl));
  const learner = members.find(({ isLearner }) => isLearner);
  if (learner) {
    const isWanted = missing.some(({ peerUrl }) => peerUrl === learner.peerUrl);
    if (!isWanted) return { kind: "remove", id: learner.id };
    const othersFollow = missing.every(({ answers }) => answers) && voters.every(({ isLevel }) => isLevel);
    return learner.isLevel && othersFollow ? { kind: "promote", id: learner.id } : undefined;
  }
  if (missing.length) {
    // With one that does not answer there would be an even number for as long as it is away.
    const ready = missing.every(({ answers }) => answers) && voters.every(({ isLevel }) => isLevel);
    const [next] = missing;
    return ready && next ? { kind: "add", host: next.name, peerUrl: next.peerUrl } : undefined;
  }
  const tooMany = voters.filter(({ peerUrl }) => !wanted.some((host) => host.peerUrl === peerUrl));
  const gone = tooMany.find(({ isLevel }) => !isLevel) ?? tooMany[0];
  return gone && voters.length > 1 ? { kind: "remove", id: gone.id } : undefined;
}
