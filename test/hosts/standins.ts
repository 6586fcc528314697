import { resolvedConfigSchema } from "../../src/config/schema.ts";
import { layoutOf, type Layout } from "../../src/config/layout.ts";
import { travellingSchema, type Travelling } from "../../src/hosts/archiving/travelling.ts";
import { hostFiles, type HostFiles } from "../../src/hosts/documents/files.ts";
import {
  documentSchema,
  type ClusterDocument,
  type Host,
  type HostRecord,
} from "../../src/hosts/documents/record.ts";
import { hostReportSchema } from "../../src/hosts/documents/report.ts";
import {
  ensureHostAuthorities,
  newRequest,
  readIdentity,
  signRequest,
} from "../../src/hosts/joining/authority.ts";
import type { Archiving } from "../../src/model/backups/archive-status.ts";
import { ensureDirectory, writeFileAtomic } from "../../src/system/files/files.ts";
import type { TlsIdentity } from "../../src/system/network/mutual-tls.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

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

/** The folder of a host that has made the authority of hosts. */
export async function withAuthority(): Promise<{ readonly layout: Layout; readonly files: HostFiles }> {
  const layout = layoutOf(`${temporaryFolder()}/s`);
  const files = hostFiles(layout);
  await ensureDirectory(files.dir, { mode: 0o755 });
  await ensureHostAuthorities(files, "odoo");
  return { layout, files };
}

/** The same, with a certificate of the authority in it. */
export async function withCertificate(
  host: Pick<Host, "name" | "role" | "address" | "id">,
): Promise<{ readonly layout: Layout; readonly files: HostFiles; readonly identity: TlsIdentity }> {
  const { layout, files } = await withAuthority();
  const request = await newRequest(files, host.name, undefined);
  await writeFileAtomic(files.certificate, await signRequest(files, request, host));
  const identity = await readIdentity(files);
  if (!identity) throw new Error("no identity");
  return { layout, files, identity };
}

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
