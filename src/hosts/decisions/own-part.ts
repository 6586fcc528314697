import { resolvedConfigSchema, type Config } from "../../config/schema.ts";

/**
 * What root runs on a host, what it reads and where it writes: each host's own configuration file says it, and never the
 * store, in which the servers' user of any host may write.
 */
const OWN_SECTIONS = [
  "alarms",
  "backup",
  "console",
  "haproxy",
  "password_files",
  "pgbouncer",
  "replication_log",
] as const;
const OWN_KEYS: readonly string[] = ["odoo.addons_path", "odoo.filestore", "postgres.bin_dir"];

/** Whether a key belongs to one host. @param path keys from the outermost */
export function isOfOneHost([section = "", key = ""]: readonly string[]): boolean {
  return OWN_SECTIONS.some((own) => own === section) || OWN_KEYS.includes(`${section}.${key}`);
}

/**
 * The configuration of a host: of the cluster's what is named here, and all else of its own. So a key that the schema gets
 * one day is not the store's to say until somebody writes it here. What several hosts cannot have is not there at all.
 * @param own the configuration of the host's file; undefined: everything of it by default
 */
export function withOwnPart(config: Config, own: Config | undefined): Config {
  const {
    upstream: _upstream,
    tls: _tls,
    ...ofHost
  } = own ?? resolvedConfigSchema.parse({ state_dir: config.state_dir, listen: config.listen });
  const { cluster, networks, endpoints } = config;
  const { role, template } = config.odoo;
  const { version, parameters, initdb_args } = config.postgres;
  const { version: _version, ...postgres } = ofHost.postgres;
  return {
    ...ofHost,
    cluster,
    networks,
    endpoints,
    odoo: { ...ofHost.odoo, role, template },
    postgres: { ...postgres, ...(version === undefined ? {} : { version }), parameters, initdb_args },
  };
}
