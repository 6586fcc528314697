/** A member of the store, as it is cared for. */
export interface CaredMember {
  readonly id: string;
  readonly address: string;
  readonly votes: boolean;
  /** Whether it runs and follows the store's leader. */
  readonly isLevel: boolean;
  readonly leads: boolean;
  /** Bytes of its file, and of what is in use of it. */
  readonly bytes: number;
  readonly inUse: number;
  /** Whether it takes no more writes, as its room was used up. */
  readonly isFull: boolean;
}

/** What is done for the store now: one thing at a time, and the next at the next look. */
export type StoreCare =
  | { readonly kind: "defragment"; readonly address: string }
  | { readonly kind: "disarm"; readonly id: string }
  | { readonly kind: "lead"; readonly from: string; readonly id: string };

/** A file is made smaller when it is this many times what is in use of it, and at least this big (bytes). */
const SPARSE = 4;
const WORTH = 32 * 1024 * 1024;

/**
 * 1. A file that is mostly empty is made smaller: that of who leads last, as it answers nobody meanwhile.
 * 2. A member that was full takes writes again once it has room.
 * 3. The store is led by another host than the primary's, by a witness before all: where both are lost at once, the time
 *    of the primary's key begins anew, and another host takes over seconds later.
 * Pure.
 *
 * @param quota bytes that a file may have
 * @param primary address of the primary's host
 * @param witnesses addresses of hosts without a database
 */
export function careFor(
  members: readonly CaredMember[],
  {
    quota,
    primary,
    witnesses,
  }: {
    readonly quota: number;
    readonly primary: string | undefined;
    readonly witnesses: readonly string[];
  },
): StoreCare | undefined {
  // One that answers nobody for a while must not be the second.
  if (!members.every(({ isLevel }) => isLevel)) return undefined;
  const sparse = members
    .filter(
      ({ bytes, inUse, isFull }) => bytes > inUse * (isFull ? 1.5 : SPARSE) && (isFull || bytes > WORTH),
    )
    .toSorted((a, b) => Number(a.leads) - Number(b.leads));
  const [first] = sparse;
  if (first) return { kind: "defragment", address: first.address };
  const full = members.find(({ isFull, bytes }) => isFull && bytes < quota * 0.8);
  if (full) return { kind: "disarm", id: full.id };
  const leader = members.find(({ leads }) => leads);
  if (!leader || leader.address !== primary) return undefined;
  const others = members.filter(({ votes, leads }) => votes && !leads);
  const next = others.find(({ address }) => witnesses.includes(address)) ?? others[0];
  return next && { kind: "lead", from: leader.address, id: next.id };
}
