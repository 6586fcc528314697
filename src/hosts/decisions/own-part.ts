import { resolvedConfigSchema, type Config } from "../../config/schema.ts";

/**
 * What root runs on a host, what it reads and where it writes: each host's own configuration file says it, and never the
 * store, in which the servers' user of any host may write.
 */
const OWN_SECTIONS = ["alarms", "backup", "console", "haproxy", "password_files", "pgbouncer"] as const;
const OWN_KEYS: readonly string[] = ["odoo.addons_path", "odoo.filestore", "postgres.bin_dir"];

/** Whether a key belongs to one host. @param path keys from the outermost */
export function isOfOneHost([section = "", key = ""]: readonly string[]): boolean {
  return OWN_SECTIONS.some((own) => own === section) || OWN_KEYS.includes(`${section}.${key}`);
}

/**
 * The cluster's configuration with a host's own part in it.
 * @param own the configuration of the host's file; undefined: everything of it by default
 */
export function withOwnPart(config: Config, own: Config | undefined): Config {
  const { alarms, backup, console, haproxy, password_files, pgbouncer, odoo, postgres } =
    own ?? resolvedConfigSchema.parse({ state_dir: config.state_dir, listen: config.listen });
  const { filestore: _filestore, ...odooOfAll } = config.odoo;
  const { bin_dir: _binDir, ...postgresOfAll } = config.postgres;
  return {
    ...config,
    alarms,
    backup,
    console,
    haproxy,
    password_files,
    pgbouncer,
    odoo: {
      ...odooOfAll,
      addons_path: odoo.addons_path,
      ...(odoo.filestore === undefined ? {} : { filestore: odoo.filestore }),
    },
    postgres: { ...postgresOfAll, ...(postgres.bin_dir === undefined ? {} : { bin_dir: postgres.bin_dir }) },
  };
}
