import type { Config } from "../../config/schema.ts";
import { withOwnPart } from "../decisions/settings/own-part.ts";
import type { ClusterDocument, Host, HostRecord } from "./record.ts";

/** What a host knows by itself, and by nobody's word. */
export interface OwnPart {
  readonly stateDir: string;
  /** The configuration of its file; undefined where it has none. */
  readonly fileConfig: Config | undefined;
}

/** The configuration as one host applies it: its own node alone, its own address in the place of the first host's, its own part. */
export function configOf(
  document: ClusterDocument,
  record: HostRecord,
  { stateDir, fileConfig }: OwnPart,
): Config {
  const { node: name, address, data_dir, user } = record;
  const { user: _user, ...config } = withOwnPart(document.config, fileConfig);
  return {
    ...config,
    state_dir: stateDir,
    ...(isSaid(user) ? { user } : {}),
    listen: [...new Set(["127.0.0.1", address])],
    nodes: [{ name, host: address, port: document.port, ...(isSaid(data_dir) ? { data_dir } : {}) }],
  };
}

function isSaid(value: string | null | undefined): value is string {
  return value !== null && value !== undefined;
}

/**
 * What the endpoints of a host lead to: every host with a database.
 * @param pools whether PgBouncer runs there, where the configuration wants it
 */
export function servedConfig(document: ClusterDocument, pools: boolean): Config {
  const { endpoints } = document.config;
  const { read, write } = endpoints;
  return {
    ...withOwnPart(document.config, undefined),
    ...(pools
      ? {}
      : {
          endpoints: {
            ...endpoints,
            read: { ...read, pooling: "none" },
            write: { ...write, pooling: "none" },
          },
        }),
    listen: ["127.0.0.1"],
    nodes: databasesOf(document).map(({ name, address: host }) => ({ name, host, port: document.port })),
  };
}

/** The document without what is of hosts with a database: addresses of copies and commands may hold secrets. */
export function forGuests(document: ClusterDocument): ClusterDocument {
  return { ...document, config: withOwnPart(document.config, undefined) };
}

export function databasesOf({ hosts }: Pick<ClusterDocument, "hosts">): Host[] {
  return hosts.filter(({ role }) => role === "database");
}
