import type { EtcdStart } from "../../render/etcd.ts";

/** A member of the store by its name, which one that never started has not yet, and its URL. */
export interface NamedMember {
  readonly name: string;
  readonly url: string;
  readonly votes: boolean;
}

/**
 * How this host's etcd member is to be started from now on. The first one founded the store; as soon as others vote too it
 * must never do that again: if it lost its data, it would found a second store beside theirs.
 * Pure.
 * @param start how it is started now; undefined where this host had none
 * @returns undefined where that stays
 */
export function memberStart(
  start: EtcdStart | undefined,
  members: readonly NamedMember[],
  own: Omit<NamedMember, "votes">,
): EtcdStart | undefined {
  if (!members.some(({ url }) => url === own.url)) return undefined;
  const isOneOfSeveral = members.filter(({ votes }) => votes).length > 1;
  if (start && (start.state === "existing" || !isOneOfSeveral)) return undefined;
  const named = members.map(({ name, url }): [string, string] => [url === own.url ? own.name : name, url]);
  return { state: "existing", members: Object.fromEntries(named) };
}
