/** Milliseconds that each member has for being started again, and those at their beginning in which it may be stopped. */
const TURN = 10_000;
const BEGINNING = 3000;

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
  // Late in its turn it would still be away when the next one begins, whose clock may be ahead besides.
  const isInTime = Math.floor(now / TURN) % voters.length === index && now % TURN < BEGINNING;
  return level > voters.length / 2 && isInTime;
}
