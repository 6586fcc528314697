/** Milliseconds in which one member may be started again: it is back in a third of them. */
const TURN = 10_000;

export interface TurnMember {
  readonly address: string;
  readonly isLearner: boolean;
  /** Whether it is as far as the others. */
  readonly isLevel: boolean;
}

/**
 * Whether this host's member of the store may be stopped for a moment: the others go on without it, and no other one is
 * stopped for the same reason meanwhile. Nobody has to be asked for that: each has its turn by the clock. Pure.
 * @param now milliseconds since the epoch
 */
export function isTurnOf(address: string, members: readonly TurnMember[], now: number): boolean {
  const voters = members
    .filter(({ isLearner }) => !isLearner)
    .sort((a, b) => (a.address < b.address ? -1 : 1));
  const index = voters.findIndex((voter) => voter.address === address);
  if (index === -1) return members.length > 0;
  if (voters.length === 1) return true;
  const level = voters.filter((voter) => voter.isLevel && voter.address !== address).length;
  return level > voters.length / 2 && Math.floor(now / TURN) % voters.length === index;
}
