import { odooPg, type Command } from "../next-step.ts";

/** A tablespace for which a replica has no directory of its own: it would write its primary's files. */
export interface TablespaceTrouble {
  /** The directory on the primary, as CREATE TABLESPACE names it. */
  readonly location: string;
  /** Whether the replica's files lie there already. Otherwise it stopped at the WAL record that creates them. */
  readonly shared: boolean;
}

/** Directories of a node's tablespaces by object id; links resolved. */
export type Tablespaces = ReadonlyMap<string, string>;

/**
 * Tablespaces for which a replica of the same host has no directory of its own. WAL holds the path that CREATE TABLESPACE was
 * given, so both servers would write the same files.
 * @param runs whether the replica runs: then one that it lacks is one whose record it has not replayed yet
 */
export function troubleBetween(
  primary: Tablespaces,
  replica: Tablespaces,
  runs: boolean,
): TablespaceTrouble[] {
  return [...primary].flatMap(([id, location]): TablespaceTrouble[] => {
    const own = replica.get(id);
    if (own === location) return [{ location, shared: true }];
    return own === undefined && !runs ? [{ location, shared: false }] : [];
  });
}

/**
 * Whether a primary has to refuse its first tablespace. Before PostgreSQL 15 a replica that replays CREATE TABLESPACE empties
 * the directory before it makes the link, so `closeTablespaces` comes too late there (tablespace.c,
 * create_tablespace_directories).
 */
export function refusesTablespaces(major: number, replicas: number, present: number): boolean {
  return major < 15 && replicas > 0 && present === 0;
}

/** State, reason and next step of a replica that has to be rebuilt because of its tablespaces. */
export function waitingForReseed(
  node: string,
  primary: string,
  troubles: readonly TablespaceTrouble[],
): { state: "needs reseed"; reason: string; next: Command } {
  const places = (shared: boolean): string =>
    troubles.flatMap((one) => (one.shared === shared ? [one.location] : [])).join(", ");
  const shared = places(true);
  const refused = places(false);
  const reasons = [
    ...(shared
      ? [
          `${primary} and ${node} have the same files for the tablespace at ${shared}, and each has written over the other's. ${node} is kept stopped. What is in it may be damaged: compare it with a backup.`,
        ]
      : []),
    ...(refused
      ? [
          `A tablespace was created at ${refused}, where ${node} would write the files of ${primary}: it stopped before doing so. Nothing is lost; rebuilt, it gets a directory of its own.`,
        ]
      : []),
  ];
  return { state: "needs reseed", reason: reasons.join(" "), next: odooPg("reseed", node) };
}
