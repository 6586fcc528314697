import type { ManagedSetting } from "./setting.ts";

const TLS = 'set by "tls" (certificates of the cluster\'s own authority unless you give yours)';
const LAYOUT = 'set by odoo-pg: data is where "nodes[].data_dir" says, everything else under "state_dir"';
const REPLICATION = 'set by odoo-pg for each replica of "nodes"';
const LOGGING = 'set by odoo-pg: logs are under "state_dir" and are read with `odoo-pg logs`';
const INCLUDE = "not a parameter but a directive: write the parameters themselves here";
const RECOVERY = "set by odoo-pg: a replica always follows its primary to the end";

/** Parameters that odoo-pg itself writes, and directives that are none. */
export const MANAGED: readonly ManagedSetting[] = [
  { name: "port", instead: 'set by "nodes[].port"' },
  { name: "listen_addresses", instead: 'set by "listen"' },
  { name: "data_directory", instead: LAYOUT },
  { name: "config_file", instead: LAYOUT },
  { name: "hba_file", instead: 'set by odoo-pg: who may connect is decided by "networks"' },
  { name: "ident_file", instead: LAYOUT },
  { name: "external_pid_file", instead: LAYOUT },
  { name: "unix_socket_directories", instead: LAYOUT },
  { name: "ssl", instead: TLS, value: "on" },
  { name: "ssl_cert_file", instead: TLS },
  { name: "ssl_key_file", instead: TLS },
  { name: "ssl_ca_file", instead: TLS },
  { name: "primary_conninfo", instead: REPLICATION },
  { name: "primary_slot_name", instead: REPLICATION },
  { name: "synchronous_standby_names", instead: 'set by "endpoints.read.consistency" (read-your-writes)' },
  { name: "hot_standby", instead: "always on: a replica serves reads" },
  { name: "password_encryption", instead: "always scram-sha-256", value: "scram-sha-256" },
  { name: "restore_command", instead: RECOVERY },
  { name: "promote_trigger_file", instead: RECOVERY },
  { name: "logging_collector", instead: LOGGING, value: "on" },
  { name: "log_destination", instead: LOGGING, value: "stderr" },
  { name: "log_directory", instead: LOGGING },
  { name: "log_filename", instead: LOGGING, value: "postgresql-%a.log" },
  { name: "cluster_name", instead: 'set by "cluster" and the name of the node' },
  { name: "include", instead: INCLUDE },
  { name: "include_dir", instead: INCLUDE },
  { name: "include_if_exists", instead: INCLUDE },
];

/** What sets a parameter instead, where it is odoo-pg's alone. */
export function managedBy(name: string): string | undefined {
  if (name.startsWith("recovery_target")) return RECOVERY;
  return MANAGED.find((setting) => setting.name === name)?.instead;
}
