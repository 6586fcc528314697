/** Milliseconds of each member's turn for a restart, and those at its beginning in which the member may be stopped. */
const TURN = 10_000;
const BEGINNING = 3000;

export interface TurnMember {
  readonly address: string;
  readonly isLearner: boolean;
  /** Whether it runs and is level with the others. */
  readonly isLevel: boolean;
}

/**
 * Whether this host's member of the store may be restarted now: the others keep a majority without it, and no other one is
 * restarted meanwhile, as each has its turn by the clock. Pure.
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
  // Later in its turn it could still be away when the next one begins, whose clock may be ahead too.
  const isInTime = Math.floor(now / TURN) % voters.length === index && now % TURN < BEGINNING;
  return level > voters.length / 2 && isInTime;
}
