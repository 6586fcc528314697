import { authorityPath, type Layout } from "../../config/layout.ts";
import { configuredParameters, passfilePath, type NodeRenderInput } from "../../postgres/render.ts";
import { quoteSetting } from "../../postgres/sql/quoting.ts";
import { formerAddresses } from "../decisions/certificates/revocation.ts";
import type { ClusterDocument } from "../documents/record.ts";
import { BETWEEN_HOSTS, SHARED_SETTINGS } from "./patroni.ts";

/** Settings of a node that odoo-pg does not write where Patroni runs the server. */
const NOT_OURS = new Set<string>([
  ...SHARED_SETTINGS,
  "port",
  "listen_addresses",
  "cluster_name",
  "hot_standby",
  "data_directory",
  "primary_conninfo",
  "primary_slot_name",
  "synchronous_standby_names",
  ...Object.keys(BETWEEN_HOSTS),
]);

/** A server's settings by the configuration, with those that all hosts share. */
export function wantedParameters(input: NodeRenderInput): ReadonlyMap<string, string> {
  const shared: readonly string[] = SHARED_SETTINGS;
  return new Map(
    [...configuredParameters(input)].filter(([name]) => shared.includes(name) || !NOT_OURS.has(name)),
  );
}

/**
 * odoo-pg's settings of a server that Patroni runs: its postgresql.conf includes this file, and Patroni's own settings
 * win.
 */
export function renderHostSettings(input: NodeRenderInput): string {
  const lines = [...configuredParameters(input)]
    .filter(([name]) => !NOT_OURS.has(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name} = ${quoteSetting(value)}`);
  const waits = input.config.endpoints.read.consistency === "read-your-writes";
  return [
    "# Made by odoo-pg. Changes here are lost: change the configuration, and run odoo-pg up.",
    ...lines,
    ...(waits ? ["synchronous_commit = 'remote_apply'"] : []),
    "",
  ].join("\n");
}

/** The networks of each host alone. */
function networkOf(address: string): string {
  return `${address}/${address.includes(":") ? 128 : 32}`;
}

/**
 * Lines of pg_hba.conf for the other hosts: replication and reading of data files for role replicator, and sessions that the
 * endpoints of each host send here. Always with TLS.
 */
export function hostRules(document: ClusterDocument, mighty: string, refused: readonly string[]): string[] {
  // A network of clients may contain a removed host, which still knows the password.
  const former = formerAddresses(document).map(
    (address) => `host all,replication replicator "${networkOf(address)}" reject`,
  );
  const present = document.hosts.flatMap(({ name, address, role }) => {
    const from = `"${networkOf(address)}"`;
    return [
      ...(role === "database"
        ? [
            `hostssl replication replicator ${from} ${refused.includes(name) ? "reject" : "scram-sha-256"}`,
            `hostssl postgres replicator ${from} scram-sha-256`,
          ]
        : []),
      `hostssl all ${mighty} ${from} reject`,
      `hostssl all all ${from} scram-sha-256`,
    ];
  });
  return [...former, ...present];
}

/** The connection for a base backup of the primary on another host. */
export function copySource(
  layout: Layout,
  name: string,
  primary: { readonly address: string; readonly port: number },
): Readonly<Record<string, string | number>> {
  return {
    host: primary.address,
    port: primary.port,
    user: "replicator",
    passfile: passfilePath(layout),
    application_name: name,
    connect_timeout: 5,
    sslmode: "verify-ca",
    sslrootcert: authorityPath(layout),
  };
}
