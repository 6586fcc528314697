import { resolvedConfigSchema, type Config } from "../../../config/schema.ts";

/**
 * Keys that decide what root runs on a host, what it reads and where it writes. They come from each host's own configuration
 * file, never from the store, into which the servers' user of any host can write.
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
 * The configuration of a host: the keys named here from the cluster's, all others from its own file. So a new key of the
 * schema never comes from the store until it is named here. Keys that several hosts cannot have are left out.
 * @param own the configuration of the host's file; undefined: its defaults
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
