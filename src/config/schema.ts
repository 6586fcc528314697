import * as z from "zod";
import { hostProblem, listenAddressProblem, networkProblem } from "./values/addresses.ts";
import { absolutePath, docs, pathProblem, pathWithout, textWithout, wholeNumber } from "./fields.ts";
import { alarms } from "./sections/alarms.ts";
import { backup } from "./sections/backup.ts";
import { consoleSection } from "./sections/console.ts";
import { endpoints } from "./sections/endpoints.ts";
import { nodes } from "./sections/nodes.ts";
import { odoo } from "./sections/odoo.ts";
import { passwordFiles } from "./sections/password-files.ts";
import { postgres } from "./sections/postgres.ts";
import { stateDirProblem } from "./state-dir.ts";

/**
 * The one place where configuration is declared: types, defaults, messages, documentation and the JSON Schema
 * for editors are all made from it.
 */
export const configSchema = z.strictObject({
  cluster: z
    .string()
    .regex(
      /^[a-z0-9][a-z0-9_-]{0,30}$/,
      'must be lower-case letters, digits, "_" and "-", at most 31, starting with a letter or digit',
    )
    .default("odoo")
    .register(docs, {
      description: "Name of the cluster: of all nodes that hold the same data. `--confirm` asks for it.",
      examples: ["prod"],
    }),
  state_dir: pathWithout((path) => pathProblem(path) ?? stateDirProblem(path))
    .optional()
    .register(docs, {
      description:
        // oxlint-disable-next-line no-template-curly-in-string -- the shell's
        "Directory for everything that belongs to the cluster: data, sockets, logs, generated passwords, rendered configuration. At most 80 bytes, because the paths of Unix sockets are limited. When not set: `/var/lib/odoo-pg/<cluster>` for root; otherwise `${XDG_STATE_HOME:-~/.local/state}/odoo-pg/<cluster>` on Linux and `~/Library/Application Support/odoo-pg/<cluster>` on macOS.",
      examples: ["/var/lib/odoo-pg/prod"],
    }),
  user: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/, "cannot be the name of a user of this system")
    .refine((name) => name !== "root", "must not be root: PostgreSQL refuses to run as root")
    .optional()
    .register(docs, {
      description:
        "System user that the servers run as when odoo-pg is started by root. When not set: `postgres`. Without root, everything runs as the user who starts it, and this key has no effect.",
      examples: ["postgres"],
    }),
  listen: z
    .array(textWithout(listenAddressProblem))
    .min(1)
    .optional()
    .register(docs, {
      description:
        'Addresses that the nodes and the endpoints listen on. When not set: `127.0.0.1`, or `*` (all addresses) when "networks" is not empty.',
      examples: [["127.0.0.1", "10.0.0.11"]],
    }),
  networks: z
    .array(textWithout(networkProblem))
    .default([])
    .register(docs, {
      description:
        "Networks that may connect, besides this host. Connections from there need TLS and a password. IPv4 and IPv6; `0.0.0.0/0` and `::/0` mean everyone.",
      examples: [["10.0.0.0/24", "fd00::/8"]],
    }),
  postgres,
  haproxy: z
    .strictObject({
      program: absolutePath()
        .optional()
        .register(docs, {
          description:
            "Path of the program haproxy. When not set, it is searched for in PATH and the usual directories.",
          examples: ["/usr/sbin/haproxy"],
        }),
    })
    .prefault({})
    .register(docs, { description: "HAProxy, which serves the endpoints." }),
  pgbouncer: z
    .strictObject({
      program: absolutePath()
        .optional()
        .register(docs, {
          description:
            "Path of the program pgbouncer. When not set, it is searched for in PATH and the usual directories.",
          examples: ["/usr/sbin/pgbouncer"],
        }),
    })
    .prefault({})
    .register(docs, {
      description: "PgBouncer, which endpoints with `pooling: transaction` need. Nothing else does.",
    }),
  nodes,
  endpoints,
  upstream: z
    .strictObject({
      host: textWithout(hostProblem).register(docs, {
        description: "Host name or address of the primary. Environment: `SLAVEHOST`.",
        examples: ["10.0.0.5"],
      }),
      port: wholeNumber(1, 65535)
        .default(5432)
        .register(docs, { description: "Port of the primary. Environment: `SLAVEPORT`." }),
      user: z.string().min(1).default("replicator").register(docs, {
        description: "Role with REPLICATION that the replicas connect as. Environment: `SLAVEUSER`.",
      }),
      password_file: absolutePath()
        .optional()
        .register(docs, {
          description:
            "File with that role's password. Environment: `SLAVEPASSWORD_FILE`, or `SLAVEPASSWORD` with the password itself.",
          examples: ["/etc/odoo-pg/upstream.password"],
        }),
      hot_standby: z.boolean().default(true).register(docs, {
        description: "Whether the replicas answer reads. Environment: `PGSQL_HOT_STANDBY`.",
      }),
    })
    .optional()
    .register(docs, {
      description:
        "A primary that odoo-pg does not run. When set, every node of this cluster is its replica, and the write endpoint leads to it. Roles, template and consistency `read-your-writes` belong to whoever runs that primary.",
    }),
  replication_log: z
    .strictObject({
      format: z.enum(["json", "origin"]).default("json").register(docs, {
        description:
          "Format of the lines, one a minute for each replica: `json`, or `origin` as in the image odoo/pgsql (TIMESTAMP 'lag' 'last replay' 'received' 'replayed').",
      }),
      file: absolutePath()
        .optional()
        .register(docs, {
          description: "The file. When not set: `pg_replication.log` in the state directory.",
          examples: ["/var/log/pg_replication.log"],
        }),
    })
    .prefault({})
    .register(docs, { description: "The replication log, for shippers such as logstash and filebeat." }),
  tls: z
    .strictObject({
      certificate: absolutePath().meta({
        description: "Certificate of the servers, with any intermediate certificates (PEM).",
        examples: ["/etc/odoo-pg/server.crt"],
      }),
      key: absolutePath().meta({
        description: "Private key of the certificate (PEM, without a passphrase).",
        examples: ["/etc/odoo-pg/server.key"],
      }),
      ca: absolutePath().meta({
        description: "Certificate of the authority with which replicas verify the primary (PEM).",
        examples: ["/etc/odoo-pg/ca.crt"],
      }),
    })
    .optional()
    .register(docs, {
      description:
        "Certificates of your own: all three or none. When not set, odoo-pg creates an authority for the cluster, and certificates from it.",
    }),
  odoo,
  backup,
  console: consoleSection,
  alarms,
  password_files: passwordFiles,
});

/** The configuration after resolving: what was open is decided. A stored configuration is read with it. */
export const resolvedConfigSchema = configSchema.required({ state_dir: true, listen: true });

/** A whole configuration: every default filled in, sizes in bytes, no secret in it. */
export type Config = z.output<typeof resolvedConfigSchema>;

/** What a read may miss. */
export const consistencySchema = resolvedConfigSchema.shape.endpoints
  .unwrap()
  .shape.read.unwrap()
  .shape.consistency.unwrap();
export type Consistency = z.output<typeof consistencySchema>;
