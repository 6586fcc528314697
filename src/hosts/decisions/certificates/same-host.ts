import type { ClusterDocument, Host, HostRecord } from "../../documents/record.ts";

/**
 * Whether a host of the document is the machine with this record. The name is not enough: a removed machine may come back
 * after another one was given its name. Where the document has no `id`, as of an earlier odoo-pg, the address decides. Pure.
 */
export function isSameHost(
  host: Host,
  record: Pick<HostRecord, "name" | "address" | "role" | "id">,
): boolean {
  if (host.name !== record.name || host.role !== record.role) return false;
  return host.id === undefined ? host.address === record.address : host.id === record.id;
}

/** The document with this machine's `id`; undefined where it has one already, or this machine is not in it. Pure. */
export function withOwnMark(document: ClusterDocument, record: HostRecord): ClusterDocument | undefined {
  const { id } = record;
  const own = document.hosts.find((host) => isSameHost(host, record));
  if (!own || own.id !== undefined || id === undefined) return undefined;
  return { ...document, hosts: document.hosts.map((host) => (host === own ? { ...host, id } : host)) };
}
