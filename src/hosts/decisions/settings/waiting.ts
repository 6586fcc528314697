import { SHARED_SETTINGS } from "../../render/patroni.ts";

/** Settings of a host's server that are said to wait for a restart. */
export interface PendingSettings {
  /** By the server itself. */
  readonly byServer: readonly string[];
  /** By the Patroni of its host. */
  readonly byPatroni: readonly string[];
}

/** Settings that wait for a restart, by who changed them. */
export interface Waiting {
  /** Changed by `up`. */
  readonly asked: readonly string[];
  /** Changed by somebody else, or by nobody: a person decides when. */
  readonly others: readonly string[];
}

/** Of a server that ran before Patroni took it over: nothing depends on them. */
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
 * Which settings of a server wait for a restart. For settings that Patroni itself passes at the start, Patroni's answer counts:
 * it may have started a replica with higher values than its file has, which the server does not know. For all others the
 * server's answer counts: Patroni's may be old, from when it last read its configuration. Pure.
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

/** A server, as far as restarts that `up` has asked for are concerned. */
export interface RestartSeen {
  /** Whether its host's agent and the server answer: a silent one may be running, and waiting for a restart. */
  readonly answers: boolean;
  /** Whether its host has applied the configuration that needs the restart: before that nothing waits there yet. */
  readonly applies: boolean;
  readonly asked: readonly string[];
}

/** Milliseconds within which a server reports what waits for a restart, after it has read its configuration. */
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

/** Whether that has lasted long enough for the restarts to count as done. Pure */
export function isForgotten(quiet: NobodyWaits | undefined, now: number): boolean {
  return quiet !== undefined && now - quiet.since >= SAYS_WITHIN;
}
