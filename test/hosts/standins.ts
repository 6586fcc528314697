import { resolvedConfigSchema } from "../../src/config/schema.ts";
import { documentSchema, type ClusterDocument, type Host } from "../../src/hosts/documents/record.ts";

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
