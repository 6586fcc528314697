import type { Backend } from "../../endpoints/servers.ts";
import type { StoreView } from "../documents/store-view.ts";
import type { TlsAnswer } from "../../system/network/mutual-tls.ts";

/** The facts by which a change of the primary is decided. */
export interface Seen {
  readonly store: StoreView | undefined;
  readonly storeAnswers: boolean;
  readonly cluster: string;
  /** This host's name. */
  readonly host: string;
  /** Hosts with a database. */
  readonly databases: readonly string[];
  /** Endpoints whose clients share sessions of the servers. */
  readonly pooled: readonly Backend[];
  /** Bytes that each replica lacks, where it is known. */
  readonly lags: ReadonlyMap<string, number>;
  /** The host that writes go to; undefined while no host may take them. */
  readonly writes: string | undefined;
  /** Of this host's server, where it answers. */
  readonly timeline: number | undefined;
  /** Whether this host has a database, and what is done to its data now. */
  readonly hasDatabase: boolean;
  readonly working: string | undefined;
}

/** This host's data, while another copy takes its place. */
export interface ReplicaData {
  /** Keeps supervision from starting Patroni, until `release`. */
  readonly hold: () => Promise<void>;
  readonly release: () => void;
  /** @throws OdooPgError refused, disk_full where the copy has no room beside what is there */
  readonly requireRoom: () => Promise<void>;
  /** Copies the primary beside what is there, and tries the copy. @returns its folder */
  readonly copyPrimary: () => Promise<string>;
  /** Checks again who is primary. @throws OdooPgError refused where that is unknown, or it is this host */
  readonly requireReplica: () => Promise<void>;
  /** @throws OdooPgError refused where this host is the primary, or became it until the stop */
  readonly stop: () => Promise<void>;
  /** Renames the data of a server that is stopped. @returns its new name; undefined where there was none */
  readonly keepAside: () => Promise<string | undefined>;
  readonly putInPlace: (copy: string) => Promise<void>;
  /** Removes a copy that was not put in place. */
  readonly drop: (copy: string) => Promise<void>;
}

/** The effects of steps. */
export interface FailoverParts {
  readonly seen: () => Seen;
  /** Asks Patroni of a host. @throws OdooPgError refused, timed_out */
  readonly askPatroni: (host: string, path: string, body: object) => Promise<TlsAnswer>;
  readonly checkpoint: () => Promise<void>;
  readonly pool: { readonly rest: () => Promise<void>; readonly resume: () => void };
  /** For pooled endpoints, on all hosts: clients wait during a planned change, and no transaction is cut. */
  readonly clients: {
    readonly hold: (endpoint: Backend) => Promise<void>;
    readonly goOn: () => Promise<void>;
  };
  /** On all hosts, pooled or not. */
  readonly newClients: {
    /** Leads none to a host; returns when those who were logging in have finished. Never rejects. */
    readonly hold: (host: string) => Promise<void>;
    readonly letIn: () => Promise<void>;
  };
  readonly data: ReplicaData;
  readonly log: (level: "info" | "warn" | "error", text: string) => void;
}
