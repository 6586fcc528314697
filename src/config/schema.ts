import { posix } from "node:path";
import * as z from "zod";
import { isRuleName, ruleNames, ruleProblem } from "../alarms/rules.ts";
import { hostProblem, listenAddressProblem, networkProblem } from "./addresses.ts";
import { scheduleProblem } from "./cron.ts";
import { parameterProblem, parameterText } from "./parameters.ts";
import { parseBytes } from "./postgres-units.ts";
import { stateDirProblem } from "./state-dir.ts";
import { didYouMean, nearest } from "./suggestion.ts";

// A configuration is read once in a process: making code for each schema first would double the time.
z.config({ jitless: true });

/**
 * Where the documentation of an option is kept: `.register(docs, …)` behind its type. It stays on that very schema, where
 * `.meta(…)` would build it anew, and a start builds them all; so what several options share gets `.meta(…)`.
 */
const docs = z.globalRegistry;

/** A text for which `problem` finds nothing wrong; what it finds is the message. */
function textWithout(problem: (text: string) => string | undefined) {
  return z.string().superRefine((text, context) => {
    const message = problem(text);
    if (message !== undefined) context.addIssue({ code: "custom", message });
  });
}

function pathProblem(text: string): string | undefined {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(text)) return "holds a control character";
  if (text.startsWith("~"))
    return `"${text}" starts with "~", which only a shell resolves: write the whole path`;
  if (!text.startsWith("/")) return `${JSON.stringify(text)} is not an absolute path: it must start with "/"`;
  return undefined;
}

/** An absolute path, brought into its shortest form without a slash at the end. */
function pathWithout(problem: (path: string) => string | undefined) {
  return textWithout(problem)
    .overwrite((text) => posix.normalize(text).replace(/(?<=.)\/$/, ""))
    .register(docs, { pattern: "^/" });
}

const anyPath = pathWithout(pathProblem);

/** Shared by all such options. */
function absolutePath() {
  return anyPath;
}

/** The message does not repeat the value: it may be a password, written in the wrong place. */
function passwordFileProblem(path: string): string | undefined {
  if (pathProblem(path) === undefined) return undefined;
  return "must be the absolute path of a file; the password stands in that file, never here";
}

const passwordPath = pathWithout(passwordFileProblem);

function passwordFile() {
  return passwordPath.optional();
}

/** The message does not repeat the value: it may be the secret itself, written in the wrong place. */
function secretFileProblem(path: string): string | undefined {
  if (pathProblem(path) === undefined) return undefined;
  return "must be the absolute path of a file; the secret stands in that file, never here";
}

const secretPath = pathWithout(secretFileProblem);

function secretFile() {
  return secretPath.optional();
}

function unknownRule(name: string): string {
  const near = nearest(name, ruleNames());
  return `unknown alarm; ${near.length ? didYouMean(near) : `known: ${ruleNames().join(", ")}`}`;
}

/** Plain addresses: they go into headers as they are. */
function mailAddressProblem(address: string): string | undefined {
  if (/^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(address))
    return undefined;
  return `${JSON.stringify(address)} is not a mail address, such as admin@example.com (the address alone, without a name)`;
}

/** Built in one step: each `.min()` and `.max()` would build the schema anew. */
function wholeNumber(least: number, most: number) {
  return z.int().check(z.gte(least), z.lte(most));
}

const port = wholeNumber(1024, 65535);

/** Roles that odoo-pg makes for itself, or that the server has. */
const RESERVED_ROLES = ["postgres", "replicator", "collectd", "openerp"];
const RESERVED_DATABASES = ["template0", "template1", "postgres"];

function roleProblem(name: string): string | undefined {
  if (RESERVED_ROLES.includes(name)) return `"${name}" is a role with another purpose: choose another name`;
  if (name.startsWith("pg_")) return `"${name}": PostgreSQL keeps names that start with "pg_" for itself`;
  if (!/^[a-z_][a-z0-9_-]{0,62}$/.test(name)) {
    return `${JSON.stringify(name)} cannot be the name of the role: use lower-case letters, digits, "_" and "-", at most 63, starting with a letter`;
  }
  return undefined;
}

function templateProblem(name: string): string | undefined {
  if (RESERVED_DATABASES.includes(name)) return `"${name}" is PostgreSQL's own database: choose another name`;
  if (name.startsWith("pg_")) return `"${name}": PostgreSQL keeps names that start with "pg_" for itself`;
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(name)) {
    return `${JSON.stringify(name)} cannot be the name of the template: use lower-case letters, digits and "_", at most 63, starting with a letter`;
  }
  return undefined;
}

/** What odoo-pg itself says to initdb, or what would let in anybody. */
const INITDB_TAKEN =
  /^(?:-[DUAWXE]|--(?:pgdata|username|pwfile|pwprompt|waldir|encoding|auth(?:-host|-local)?))(?:=|$)/;

function initdbArgumentProblem(argument: string): string | undefined {
  if (INITDB_TAKEN.test(argument)) return `${JSON.stringify(argument)} is for odoo-pg to say`;
  return argument === "" ? "is empty" : undefined;
}

const node = z.strictObject({
  name: z
    .string()
    .regex(
      /^[a-z][a-z0-9_]{0,30}$/,
      'must be lower-case letters, digits and "_", at most 31, starting with a letter: it becomes the name of a replication slot',
    )
    .register(docs, {
      description: "Name of the node. It names its replication slot and its application_name too.",
      examples: ["pg1"],
    }),
  host: textWithout(hostProblem)
    .default("127.0.0.1")
    .register(docs, {
      description: "Address by which the endpoints and the other nodes reach this node.",
      examples: ["10.0.0.11"],
    }),
  port: port.meta({ description: "Port of this PostgreSQL server.", examples: [5433] }),
  data_dir: absolutePath()
    .optional()
    .register(docs, {
      description: "Data directory of this node. When not set: `nodes/<name>/data` in the state directory.",
      examples: ["/srv/postgres/pg1"],
    }),
});

const maxLag = z
  .union([z.string(), z.number()], { error: "must be a size, such as 16MB" })
  .transform((input, context) => {
    const bytes = parseBytes(input);
    if (bytes === 0)
      context.addIssue({
        code: "custom",
        message: "must be more than 0: no replica is ever exactly level while there are writes",
      });
    if (typeof bytes === "number") return bytes;
    context.addIssue({ code: "custom", message: bytes });
    return z.NEVER;
  });

const VALUE_EXPECTED = "must have one value: a text, a number, true or false";

const parameters = z
  .record(z.string(), z.unknown())
  .register(docs, { additionalProperties: { type: ["string", "number", "boolean"] } })
  .transform((written, context) => {
    const result: Record<string, string> = {};
    for (const [key, value] of Object.entries(written)) {
      const name = key.toLowerCase();
      const text = parameterText(value);
      const message = Object.hasOwn(result, name)
        ? `"${name}" is set twice (upper and lower case are the same here)`
        : parameterProblem(name, text ?? "");
      if (message !== undefined) context.addIssue({ code: "custom", message, path: [key] });
      else if (text !== undefined) result[name] = text;
      else context.addIssue({ code: "custom", message: VALUE_EXPECTED, path: [key] });
    }
    return result;
  });

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
      description:
        "Name of the cluster: of all nodes that hold the same data. It is what `--confirm` asks for.",
      examples: ["prod"],
    }),
  state_dir: pathWithout((path) => pathProblem(path) ?? stateDirProblem(path))
    .optional()
    .register(docs, {
      description:
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
        "User of the system that the servers run as when odoo-pg is started by root. When not set: `postgres`. Without root, everything runs as the user who starts it, and this key has no effect.",
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
        "Networks that may connect, besides this host. From there, connections need TLS and a password. IPv4 and IPv6; `0.0.0.0/0` and `::/0` mean everyone.",
      examples: [["10.0.0.0/24", "fd00::/8"]],
    }),
  postgres: z
    .strictObject({
      version: wholeNumber(13, 99)
        .optional()
        .register(docs, {
          description: "Major version of PostgreSQL to use. When not set: the highest one that is installed.",
          examples: [17],
        }),
      bin_dir: absolutePath()
        .optional()
        .register(docs, {
          description:
            "Directory of PostgreSQL's programs (`postgres`, `initdb`, `pg_basebackup`). When not set, it is looked for in Debian's versioned directories, with `pg_config`, in Homebrew and in PATH.",
          examples: ["/usr/lib/postgresql/17/bin"],
        }),
      parameters: parameters.prefault({}).register(docs, {
        description:
          "PostgreSQL parameters of all nodes, over those that odoo-pg chooses. `true` and `false` mean `on` and `off`. Parameters that another key sets (such as `port`) are refused.",
        examples: [{ log_min_duration_statement: "1s", work_mem: "32MB" }],
      }),
      initdb_args: z
        .array(textWithout(initdbArgumentProblem))
        .default([])
        .register(docs, {
          description:
            "Arguments for initdb, behind those of odoo-pg, when the database cluster is first made. Afterwards they mean nothing.",
          examples: [["--wal-segsize=64"]],
        }),
    })
    .prefault({})
    .register(docs, { description: "PostgreSQL itself." }),
  haproxy: z
    .strictObject({
      program: absolutePath()
        .optional()
        .register(docs, {
          description:
            "Path of the program haproxy. When not set, it is looked for in PATH and in the usual directories.",
          examples: ["/usr/sbin/haproxy"],
        }),
    })
    .prefault({})
    .register(docs, { description: "HAProxy, which serves the endpoints." }),
  nodes: z
    .array(node)
    .min(1)
    .prefault([
      { name: "pg1", port: 5433 },
      { name: "pg2", port: 5434 },
    ])
    .register(docs, {
      description:
        "The PostgreSQL servers of the cluster. The first one becomes the primary when the cluster is first started, the others its replicas; afterwards the order says nothing: a node keeps the role that it has.",
    }),
  endpoints: z
    .strictObject({
      read: z
        .strictObject({
          port: port
            .default(5435)
            .register(docs, { description: "Port of the read endpoint: Odoo's `db_replica_port`." }),
          consistency: z.enum(["eventual", "bounded", "read-your-writes"]).default("bounded").register(docs, {
            description:
              "What a read may miss. `bounded`: a replica serves reads only while it streams and is behind by no more than `max_lag`; otherwise its sessions are cut and reads go elsewhere. `read-your-writes`: a commit returns only when every replica in the pool has applied it, so that no read misses it; writes are slower. `eventual`: replicas serve reads however far they are behind.",
          }),
          max_lag: maxLag.prefault("16MB").register(docs, {
            description:
              "How far a replica may be behind the primary, in bytes of WAL, before it leaves the pool. Units as in PostgreSQL: B, kB, MB, GB, TB.",
            examples: ["64MB"],
          }),
          max_lag_seconds: z
            .number()
            .positive()
            .optional()
            .register(docs, {
              description:
                "How far a replica may be behind the primary in seconds before it leaves the pool. When not set, only `max_lag` counts.",
              examples: [10],
            }),
          max_commit_wait_seconds: z
            .number()
            .min(2)
            .max(600)
            .default(3)
            .register(docs, {
              description:
                "With `read-your-writes`, how long a commit may wait for a replica that answers late or not at all, in seconds: then the replica leaves the pool, and commits no longer wait for it. With less than 3 a short stall of a replica is enough.",
              examples: [10],
            }),
        })
        .prefault({})
        .register(docs, {
          description: "The address for reads: the replicas of the pool, and the primary when there is none.",
        }),
      write: z
        .strictObject({
          port: port
            .default(5436)
            .register(docs, { description: "Port of the write endpoint: Odoo's `db_port`." }),
        })
        .prefault({})
        .register(docs, { description: "The address for writes: whichever node is primary." }),
    })
    .prefault({})
    .register(docs, { description: "The addresses that Odoo is given." }),
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
          "Form of the lines, one a minute for each replica: `json`, or `origin` as in the image odoo/pgsql (TIMESTAMP 'lag' 'last replay' 'received' 'replayed').",
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
        description: "Certificate of the servers, with those between it and the authority (PEM).",
        examples: ["/etc/odoo-pg/server.crt"],
      }),
      key: absolutePath().meta({
        description: "Private key of the certificate (PEM, without a passphrase).",
        examples: ["/etc/odoo-pg/server.key"],
      }),
      ca: absolutePath().meta({
        description: "Certificate of the authority, with which replicas verify the primary (PEM).",
        examples: ["/etc/odoo-pg/ca.crt"],
      }),
    })
    .optional()
    .register(docs, {
      description:
        "Certificates of your own: all three or none. When not set, odoo-pg makes an authority for the cluster and certificates from it.",
    }),
  odoo: z
    .strictObject({
      role: textWithout(roleProblem)
        .default("odoo")
        .register(docs, {
          description: "Role that Odoo connects as (`db_user`): login and CREATEDB, never a superuser.",
          examples: ["odoo_prod"],
        }),
      template: textWithout(templateProblem)
        .default("odoo_template")
        .register(docs, { description: "Database that Odoo copies new databases from (`db_template`)." }),
      filestore: absolutePath()
        .optional()
        .register(docs, {
          description: "Directory of Odoo's filestores, which holds one directory per database.",
          examples: ["/var/lib/odoo/filestore"],
        }),
      addons_path: z
        .array(absolutePath())
        .default([])
        .register(docs, {
          description: "Directories of Odoo's modules, as in Odoo's own `addons_path`.",
          examples: [["/opt/odoo/addons", "/opt/odoo/custom"]],
        }),
    })
    .prefault({})
    .register(docs, { description: "What odoo-pg has to know about Odoo." }),
  backup: z
    .strictObject({
      enabled: z.boolean().default(true).register(docs, {
        description:
          "Whether the agent makes backups by itself, on `schedule`. `BACKUPS=false` in the environment turns it off.",
      }),
      schedule: textWithout(scheduleProblem)
        .default("0 * * * *")
        .register(docs, {
          description:
            "When the agent backs up every database: five fields as in a crontab (minute, hour, day of the month, month, day of the week), in UTC.",
          examples: ["30 */4 * * *"],
        }),
      drill_schedule: textWithout(scheduleProblem)
        .default("30 3 * * 0")
        .register(docs, {
          description:
            "When the agent proves a backup of each database by restoring it into a scratch database, which it compares and drops: five fields, in UTC, or `off`. It needs as much room as the database.",
          examples: ["off"],
        }),
      dir: absolutePath()
        .optional()
        .register(docs, {
          description:
            "Directory of the backups, best on another disk than the data. When not set: `<state_dir>.backups`.",
          examples: ["/var/backups/odoo-pg"],
        }),
      user: z
        .string()
        .regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/, "cannot be the name of a user of this system")
        .optional()
        .register(docs, {
          description:
            "User of the system to whom the backups belong, when odoo-pg runs as root. When not set: the user that the servers run as. Without root it must be the user who runs odoo-pg.",
          examples: ["backup"],
        }),
      config_file: absolutePath().default("/config/pg_backup/pg_backup.config").register(docs, {
        description:
          "A `pg_backup.config` of the image `odoo/pgsql`, if there is one: KEY=VALUE lines, read and never executed. What it sets goes over this file.",
      }),
      only_filter: z
        .string()
        .optional()
        .register(docs, {
          description: "Keeps to databases whose name contains this text. When not set: all.",
          examples: ["prod"],
        }),
      custom: z.boolean().default(true).register(docs, {
        description:
          "Whether a backup holds an archive for pg_restore: parallel, in pg_dump's directory format.",
      }),
      plain: z.boolean().default(false).register(docs, {
        description: "Whether a backup holds the database as SQL for psql too, compressed.",
      }),
      role_passwords: z.boolean().default(false).register(docs, {
        description:
          "Whether `globals.sql` of a backup holds the verifiers of the roles' passwords. Who can read the backup then can try to guess them.",
      }),
      days_to_keep: wholeNumber(0, 3650).default(2).register(docs, {
        description: "Days for which every backup is kept.",
      }),
      day_of_week_to_keep: wholeNumber(1, 7).default(5).register(docs, {
        description:
          "Day on which a week of backups begins, 1 (Monday) to 7 (Sunday). The first good backup from that day on is the weekly one.",
      }),
      weeks_to_keep: wholeNumber(0, 520).default(12).register(docs, {
        description: "Weeks for which the weekly backups are kept.",
      }),
      months_to_keep: wholeNumber(0, 120).default(24).register(docs, {
        description: "Months for which the first good backup of each month is kept.",
      }),
      on_success: z
        .array(z.string().min(1))
        .default([])
        .register(docs, {
          description:
            "Program and arguments to run after a run without a failure, with what happened as JSON on its standard input. No shell is involved.",
          examples: [["/usr/local/bin/tell", "backup done"]],
        }),
      on_failure: z
        .array(z.string().min(1))
        .default([])
        .register(docs, {
          description: "The same, after a run in which something failed.",
          examples: [["/usr/local/bin/tell", "backup FAILED"]],
        }),
      webhook_file: absolutePath()
        .optional()
        .register(docs, {
          description:
            "File that holds the address (http or https) to which what happened is posted as JSON after every run. Such addresses are secrets: keep the file at mode 0600.",
          examples: ["/etc/odoo-pg/backup-webhook"],
        }),
      max_age_hours: wholeNumber(1, 8760).default(26).register(docs, {
        description: "Hours after which `status` warns that the last good backup is too old.",
      }),
      max_drill_age_days: wholeNumber(1, 3650).default(8).register(docs, {
        description:
          "Days after which `status` warns that the last proven restore is too old, while drills are scheduled.",
      }),
    })
    .prefault({})
    .register(docs, { description: "Backups." }),
  console: z
    .strictObject({
      enabled: z.boolean().default(true).register(docs, {
        description: "Whether the agent serves the console: a page that shows the cluster, and `/metrics`.",
      }),
      port: port.default(5050).register(docs, {
        description:
          "Port of the console. A port that is taken keeps nothing from coming up: `status` warns.",
      }),
      listen: z
        .array(textWithout(listenAddressProblem))
        .min(1)
        .default(["127.0.0.1"])
        .register(docs, {
          description:
            "Addresses that the console listens on. On loopback it is http, and looking needs no sign-in. On every other address it is https with the certificate of the servers, and everything needs a sign-in.",
          examples: [["127.0.0.1", "10.0.0.11"]],
        }),
      read_only: z.boolean().default(false).register(docs, {
        description: "Whether nothing can be done from the page, whoever signs in.",
      }),
    })
    .prefault({})
    .register(docs, { description: "The console." }),
  alarms: z
    .strictObject({
      webhook_file: secretFile().register(docs, {
        description:
          "File that holds the address (http or https) to which each alarm is posted as JSON. Addresses are secrets: they stand in files of mode 0600, never here.",
        examples: ["/etc/odoo-pg/alarm-webhook"],
      }),
      slack_file: secretFile().register(docs, {
        description:
          "File that holds the address of an incoming webhook of Slack, or of what takes the same form (Mattermost, Rocket.Chat).",
        examples: ["/etc/odoo-pg/slack"],
      }),
      telegram_file: secretFile().register(docs, {
        description:
          "File that holds `https://api.telegram.org/botTOKEN/sendMessage?chat_id=CHAT`, with the token of the bot and the number of the chat.",
        examples: ["/etc/odoo-pg/telegram"],
      }),
      healthchecks_file: secretFile().register(docs, {
        description:
          "File that holds the ping address of a check at healthchecks.io, or at a server of your own. It is pinged every minute while no critical alarm is on, so that it rings when the whole host is gone too; a critical alarm turns it red at once.",
        examples: ["/etc/odoo-pg/healthchecks"],
      }),
      mail: z
        .strictObject({
          host: textWithout(hostProblem).register(docs, {
            description: "The mail server.",
            examples: ["smtp.example.com"],
          }),
          port: wholeNumber(1, 65535)
            .optional()
            .register(docs, {
              description: "Its port. When not set: 587 with `starttls`, 465 with `tls`, 25 with `none`.",
              examples: [587],
            }),
          security: z.enum(["starttls", "tls", "none"]).default("starttls").register(docs, {
            description:
              "`starttls`: TLS after the greeting, and no mail without it. `tls`: TLS from the start. `none`: as it comes, for a server on this host.",
          }),
          user: z
            .string()
            .min(1)
            .optional()
            .register(docs, {
              description: "User to log in as. When not set: no login.",
              examples: ["odoo-pg"],
            }),
          password_file: secretFile().register(docs, {
            description: "File with the password of that user.",
            examples: ["/etc/odoo-pg/smtp.password"],
          }),
          ca_file: absolutePath()
            .optional()
            .register(docs, {
              description:
                "Certificate of the authority that signed the server's (PEM). When not set: those that Node.js trusts.",
              examples: ["/etc/odoo-pg/mail-ca.crt"],
            }),
          from: textWithout(mailAddressProblem).register(docs, {
            description: "Sender of the mails.",
            examples: ["odoo-pg@example.com"],
          }),
          to: z
            .array(textWithout(mailAddressProblem))
            .min(1)
            .register(docs, { description: "Receivers of the mails.", examples: [["admin@example.com"]] }),
        })
        .optional()
        .register(docs, { description: "Alarms by mail (SMTP)." }),
      command: z
        .array(z.string().min(1))
        .default([])
        .register(docs, {
          description:
            "Program and arguments to run for each alarm, with the alarm as JSON on its standard input. No shell is involved. It may take 15 s.",
          examples: [["/usr/local/bin/page-me", "odoo"]],
        }),
      rules: z
        .record(
          z.string(),
          z.strictObject({
            enabled: z.boolean().optional(),
            after_seconds: z.number().min(0).max(86_400).optional(),
            ends_after_seconds: z.number().min(0).max(86_400).optional(),
            threshold: z.number().positive().optional(),
          }),
        )
        .superRefine((rules, context) => {
          for (const [name, setting] of Object.entries(rules)) {
            const message = isRuleName(name) ? ruleProblem(name, setting) : unknownRule(name);
            if (message !== undefined) context.addIssue({ code: "custom", message, path: [name] });
          }
        })
        .default({})
        .register(docs, {
          description:
            "What is otherwise than by default, by the name of the alarm: `enabled: false` turns it off; `after_seconds` is for how long it must last before it is told, `ends_after_seconds` for how long it must be gone before its end is; `threshold` (of those that have one) is from where on it counts. docs/operations.md has the table of all alarms.",
          examples: [{ disk_filling: { threshold: 80 }, replica_behind: { after_seconds: 600 } }],
        }),
    })
    .prefault({})
    .register(docs, {
      description:
        "Alarms: what is told when something begins to be wrong, and when it is over. Without any channel they are only listed (`odoo-pg alerts list`) and logged. Try the channels with `odoo-pg alerts test`.",
    }),
  password_files: z
    .strictObject({
      odoo: passwordFile().register(docs, {
        description: "File with the password of Odoo's role (`odoo.role`).",
        examples: ["/etc/odoo-pg/odoo.password"],
      }),
      openerp: passwordFile().register(docs, {
        description: "File with the password of role openerp, which may log in only when it has one.",
        examples: ["/etc/odoo-pg/openerp.password"],
      }),
      replicator: passwordFile().register(docs, {
        description: "File with the password of role replicator, which the replicas connect as.",
        examples: ["/etc/odoo-pg/replicator.password"],
      }),
      collectd: passwordFile().register(docs, {
        description: "File with the password of role collectd, which monitoring connects as.",
        examples: ["/etc/odoo-pg/collectd.password"],
      }),
    })
    .prefault({})
    .register(docs, {
      description:
        "Files that hold passwords: printable ASCII, one line. Passwords themselves never stand in this file. Those that are not given are generated and kept in the state directory with mode 0600 (openerp: none, no login).",
    }),
});

/** The configuration after resolving: what was open is decided. A stored configuration is read with it. */
export const resolvedConfigSchema = configSchema.required({ state_dir: true, listen: true });

/** A whole configuration: every default filled in, sizes in bytes, no secret in it. */
export type Config = z.output<typeof resolvedConfigSchema>;

/** What a read may miss. */
export type Consistency = Config["endpoints"]["read"]["consistency"];
