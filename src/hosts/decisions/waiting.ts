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
