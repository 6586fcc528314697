import { resolvedConfigSchema } from "../../src/config/schema.ts";
import { travellingSchema, type Travelling } from "../../src/hosts/archiving/travelling.ts";
import {
  documentSchema,
  type ClusterDocument,
  type Host,
  type HostRecord,
} from "../../src/hosts/documents/record.ts";
import { hostReportSchema } from "../../src/hosts/documents/report.ts";
import type { StoreView } from "../../src/hosts/documents/store-view.ts";
import type { Archiving } from "../../src/model/backups/archive-status.ts";

/** A host with a replica, as status shows it. @param more what its report says otherwise */
export const shownHost = (name: string, more: object = {}) => ({
  name,
  role: "database",
  address: "10.0.0.1",
  seconds_ago: 0.4,
  report: {
    name,
    role: "database",
    address: "10.0.0.1",
    version: "0.2.0",
    clock: 0,
    store: { answers: true, votes: true, leads: false },
    sees_store: true,
    patroni: { running: true, version: "4.0.7" },
    postgres: { state: "replica", streaming: true, timeline: 3, lag_bytes: 0, version: "15.18" },
    reads: ["db2"],
    writes: "db1",
    working: null,
    ...more,
  },
});

/** A host with a database. */
export const database = (number: number): Host => ({
  name: `h${number}`,
  role: "database",
  address: `10.0.0.${number}`,
});

export const witness: Host = { name: "w", role: "witness", address: "10.0.0.9" };

/** A store in which h1 is the primary, and h2 has all that was acknowledged. */
export const storeOf = (changes: Partial<StoreView> = {}): StoreView => ({
  founded: true,
  leader: "h1",
  syncLeader: "h1",
  synchronous: ["h2"],
  paused: false,
  written: undefined,
  dynamic: undefined,
  history: [],
  members: new Map(),
  ...changes,
});

/** The document of a cluster that has these hosts. */
export const documentOf = (...hosts: Host[]): ClusterDocument =>
  documentSchema.parse({
    format: 1,
    cluster: "odoo",
    system_identifier: "1",
    major: 17,
    config: resolvedConfigSchema.parse({ state_dir: "/s", listen: ["127.0.0.1"] }),
    settings: {},
    shared: {},
    port: 5433,
    hosts,
  });

/** A host as status shows it, whose report says this and nothing else. */
export const reportingHost = (
  name: string,
  says: object = {},
  of: Partial<Pick<Host, "role" | "address">> & { readonly seconds_ago?: number } = {},
) => {
  const { role = "database", address = "10.0.0.2", seconds_ago = 0 } = of;
  return {
    name,
    role,
    address,
    seconds_ago,
    report: hostReportSchema.parse({
      name,
      role,
      address,
      version: "1",
      clock: 0,
      store: null,
      sees_store: true,
      patroni: null,
      postgres: null,
      reads: [],
      writes: null,
      working: null,
      ...says,
    }),
  };
};

/** What a host keeps of itself. */
export const recordOf = (host: Host, changes: Partial<HostRecord> = {}): HostRecord => ({
  format: 1,
  cluster: "odoo",
  name: host.name,
  role: host.role,
  address: host.address,
  node: host.name,
  store: [],
  user: null,
  data_dir: null,
  ...(host.id === undefined ? {} : { id: host.id }),
  ...changes,
});

/** Minutes of one hour. */
export const minute = (number: number): string => `2026-11-28T17:${String(number).padStart(2, "0")}:00.000Z`;

/** What is known of a repository of any second. */
export const archivingOf = (changes: Partial<Archiving> = {}): Archiving => ({
  format: 1,
  program: "/usr/bin/pgbackrest",
  system_identifier: "7",
  archiving: true,
  since: minute(1),
  gaps: [],
  primary: { node: "h1", waits: false, archived_at: minute(10), timeline: 1 },
  ...changes,
});

/** What the primary's host says of its own. */
export const travellingOf = (archiving: Archiving, more: object = {}): Travelling =>
  travellingSchema.parse({ format: 1, up_to: null, archiving, status: null, drill: null, ...more });
