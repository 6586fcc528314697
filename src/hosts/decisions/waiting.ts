import { SHARED_SETTINGS } from "../render/patroni.ts";

/** What a host's server is said to wait with for its restart. */
export interface PendingSettings {
  /** By the server itself. */
  readonly byServer: readonly string[];
  /** By the Patroni of its host. */
  readonly byPatroni: readonly string[];
}

/** The same, by who wants the restart. */
export interface Waiting {
  /** Changed by `up`. */
  readonly asked: readonly string[];
  /** Changed by somebody else, or by nobody: a person decides when. */
  readonly others: readonly string[];
}

/** From a server that was running before Patroni: nothing depends on them. */
const UNTOUCHED = new Set([
  "cluster_name",
  "hba_file",
  "ident_file",
  "listen_addresses",
  "port",
  "unix_socket_directories",
  "hot_standby",
]);

/**
 * Which settings of a server wait for a restart. Patroni is believed of those that it gives itself: a replica may have
 * been started with more of them than its file says, which the server does not know. Of all else it tells what it saw when
 * it last read its own configuration, and the server what is so now. Pure.
 * @param asked settings that `up` has changed since all servers were last restarted for it
 */
export function waitingFor({ byServer, byPatroni }: PendingSettings, asked: readonly string[]): Waiting {
  const shared: readonly string[] = SHARED_SETTINGS;
  const pending = [...new Set([...byServer, ...byPatroni.filter((name) => shared.includes(name))])]
    .filter((name) => !UNTOUCHED.has(name))
    .sort();
  return {
    asked: pending.filter((name) => asked.includes(name)),
    others: pending.filter((name) => !asked.includes(name)),
  };
}

/** A server, as far as restarts go that `up` has asked for. */
export interface RestartSeen {
  /** Whether its host's agent and it itself answer: one that does not may run, and wait. */
  readonly answers: boolean;
  /** Whether its host applies the configuration in which they are asked for: before that it does not know that it waits. */
  readonly applies: boolean;
  readonly asked: readonly string[];
}

/** Milliseconds in which a server that has read its configuration says what of it waits for a restart. */
const SAYS_WITHIN = 60_000;

/** Since when (milliseconds, monotonic) no server waits, for the same settings. */
export interface NobodyWaits {
  readonly settings: string;
  readonly since: number;
}

/**
 * Since when no server waits for a restart that was asked for; undefined where one does, may do, or nothing is asked for.
 * Pure.
 * @param settings those for which restarts are asked for
 */
export function nobodyWaits(
  before: NobodyWaits | undefined,
  settings: readonly string[],
  servers: readonly RestartSeen[],
  now: number,
): NobodyWaits | undefined {
  const isQuiet = servers.every(({ answers, applies, asked }) => answers && applies && asked.length === 0);
  if (!settings.length || !isQuiet) return undefined;
  const of = settings.join(" ");
  return before?.settings === of ? before : { settings: of, since: now };
}

/** Whether that has lasted so long that nobody need be asked for a restart any more. Pure */
export function isForgotten(quiet: NobodyWaits | undefined, now: number): boolean {
  return quiet !== undefined && now - quiet.since >= SAYS_WITHIN;
}
