/**
 * A name of a PostgreSQL parameter, with at most one prefix (`auto_explain.log_min_duration`).
 * None starts with two underscores, and `__proto__` is no ordinary key of an object.
 */
const PARAMETER_NAME = /^(?!__)[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)?$/;

const TLS = 'set by "tls" (certificates of the cluster\'s own authority unless you give yours)';
const LAYOUT = 'set by odoo-pg: data lies where "nodes[].data_dir" says, everything else under "state_dir"';
const REPLICATION = 'set by odoo-pg for each replica of "nodes"';
const LOGGING = 'set by odoo-pg: logs lie under "state_dir" and are read with `odoo-pg logs`';
const INCLUDE = "not a parameter but a directive: write the parameters themselves here";
const RECOVERY = "set by odoo-pg: a replica always follows its primary to the end";

/** Parameters that odoo-pg itself writes, and what sets each of them instead. */
const MANAGED: ReadonlyMap<string, string> = new Map([
  ["port", 'set by "nodes[].port"'],
  ["listen_addresses", 'set by "listen"'],
  ["data_directory", LAYOUT],
  ["config_file", LAYOUT],
  ["hba_file", 'set by odoo-pg: who may connect is decided by "networks"'],
  ["ident_file", LAYOUT],
  ["external_pid_file", LAYOUT],
  ["unix_socket_directories", LAYOUT],
  ["ssl", TLS],
  ["ssl_cert_file", TLS],
  ["ssl_key_file", TLS],
  ["ssl_ca_file", TLS],
  ["primary_conninfo", REPLICATION],
  ["primary_slot_name", REPLICATION],
  ["synchronous_standby_names", 'set by "endpoints.read.consistency" (read-your-writes)'],
  ["hot_standby", "always on: a replica serves reads"],
  ["password_encryption", "always scram-sha-256"],
  ["restore_command", RECOVERY],
  ["promote_trigger_file", RECOVERY],
  ["logging_collector", LOGGING],
  ["log_destination", LOGGING],
  ["log_directory", LOGGING],
  ["log_filename", LOGGING],
  ["cluster_name", 'set by "cluster" and the name of the node'],
  ["include", INCLUDE],
  ["include_dir", INCLUDE],
  ["include_if_exists", INCLUDE],
]);

function managedBy(name: string): string | undefined {
  return name.startsWith("recovery_target") ? RECOVERY : MANAGED.get(name);
}

/** Whether odoo-pg itself writes a parameter, for each node its own. */
export function isManaged(name: string): boolean {
  return managedBy(name) !== undefined;
}

/** What is wrong with a parameter of this lower-case name and this value, as far as can be told without a server. */
export function parameterProblem(name: string, value: string): string | undefined {
  if (!PARAMETER_NAME.test(name))
    return `${JSON.stringify(name)} cannot be the name of a PostgreSQL parameter`;
  const manager = managedBy(name);
  if (manager !== undefined) return `"${name}" cannot be set here: it is ${manager}`;
  if (name === "stats_temp_directory" && value.startsWith("/"))
    return "is an absolute path: the nodes of a host would write each other's files there";
  if (value.includes("\0")) return "holds a NUL byte, which no PostgreSQL parameter can";
  if (name === "wal_level" && !["replica", "logical"].includes(value.toLowerCase())) {
    return `is ${JSON.stringify(value)}: replicas need "replica" (the default) or "logical"`;
  }
  return undefined;
}

/** A value as postgresql.conf spells it: booleans are `on` and `off`. Undefined for what is not one value. */
export function parameterText(value: unknown): string | undefined {
  if (typeof value === "boolean") return value ? "on" : "off";
  return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
}
