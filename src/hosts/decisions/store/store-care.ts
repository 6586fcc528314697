/** A member of the store, as far as its care needs it. */
export interface CaredMember {
  readonly id: string;
  readonly address: string;
  readonly votes: boolean;
  /** Whether it runs and follows the store's leader. */
  readonly isLevel: boolean;
  readonly leads: boolean;
  /** Bytes of its file, and how many of them are in use. */
  readonly bytes: number;
  readonly inUse: number;
  /** Whether it refuses writes because its quota was used up (etcd's alarm NOSPACE). */
  readonly isFull: boolean;
}

/** The one thing to do for the store now; the next one is decided in the next round. */
export type StoreCare =
  | { readonly kind: "defragment"; readonly address: string }
  | { readonly kind: "disarm"; readonly id: string };

/** The store's leader hands over. */
export interface LeadMove {
  /** Address of the member that leads. */
  readonly from: string;
  /** Of the member that is to lead. */
  readonly id: string;
}

/** A file is made smaller when it is this many times what is in use of it, and at least this big (bytes). */
const SPARSE = 4;
const WORTH = 32 * 1024 * 1024;

/**
 * 1. A file that is mostly empty is defragmented, the leader's last, as a member answers nobody meanwhile.
 * 2. A member that was full is allowed to take writes again once it has room.
 * Pure.
 *
 * @param quota bytes that a file may have
 */
export function careFor(members: readonly CaredMember[], quota: number): StoreCare | undefined {
  // While one is away no second one may be.
  if (!members.every(({ isLevel }) => isLevel)) return undefined;
  const sparse = members
    .filter(
      ({ bytes, inUse, isFull }) => bytes > inUse * (isFull ? 1.5 : SPARSE) && (isFull || bytes > WORTH),
    )
    .toSorted((a, b) => Number(a.leads) - Number(b.leads));
  const [first] = sparse;
  if (first) return { kind: "defragment", address: first.address };
  const full = members.find(({ isFull, bytes }) => isFull && bytes < quota * 0.8);
  return full && { kind: "disarm", id: full.id };
}

/**
 * The store is led by another host than the primary's, by a witness before all: where both are lost at once, the time of
 * the primary's key begins anew, and another host takes over seconds later. Also while a member is away, such as that of
 * the primary before: the host that took over may be the next to be lost. Pure.
 *
 * @param primary address of the primary's host
 * @param witnesses addresses of hosts without a database
 * @returns undefined where it stays as it is
 */
export function leadElsewhere(
  members: readonly Pick<CaredMember, "id" | "address" | "votes" | "isLevel" | "leads">[],
  { primary, witnesses }: { readonly primary: string; readonly witnesses: readonly string[] },
): LeadMove | undefined {
  const leader = members.find(({ leads }) => leads);
  if (leader?.address !== primary) return undefined;
  const others = members.filter(({ votes, leads, isLevel }) => votes && isLevel && !leads);
  const next = others.find(({ address }) => witnesses.includes(address)) ?? others[0];
  return next && { from: leader.address, id: next.id };
}
