import { stringify } from "yaml";
import { PUBLISHED_CONSOLE } from "./contract.ts";

export interface ComposeOptions {
  /** From 0 on. */
  readonly replicas: number;
  /** Start Odoo with everything else, not only under its profile. */
  readonly odoo: boolean;
  readonly pgadmin: boolean;
}

/** The first line, which identifies a file as ours. */
export const COMPOSE_HEAD = "# Made by: odoo-pg compose";

/** Password files, in the folder `secrets`: the service `setup` makes those that are missing. */
export const SECRET_FILES = {
  odoo: "odoo.password",
  replicator: "replicator.password",
  collectd: "collectd.password",
  pgadmin: "pgadmin.password",
  /** Odoo's master password, for the page that creates, copies and drops databases. Odoo's own default is `admin`. */
  master: "odoo-master.password",
} as const;

/**
 * Odoo runs as the servers' user of our image: otherwise backups could not read attachments, and Odoo could not delete
 * those that a restore wrote.
 */
export const SERVERS_USER = { uid: 999, gid: 999 } as const;

const SECRETS = "./secrets:/run/secrets:ro";
const secret = (file: string): string => `/run/secrets/${file}`;
export const IMAGE = "${ODOO_PG_IMAGE:-odoo-pg:latest}";
const ODOO_ROLE = "${ODOO_USER:-odoo}";
const SETUP_DONE = { setup: { condition: "service_completed_successfully" } };

/** Port of the console on this host: 5050 is pgAdmin's in other recipes, and so in this one. */
const CONSOLE = { here: 5051, inside: 5050 };

/** Ports of this host: the primary, then the first replica, then what the endpoints leave free. */
function replicaPort(index: number): number {
  return index === 0 ? 5434 : 5436 + index;
}

const address = (port: number): string => `\${ODOO_PG_ADDRESS:-127.0.0.1}:${port}`;
const published = (host: number, inside: number): string => `${address(host)}:${inside}`;

/** The names of the replicas' services. */
export function replicaNames(replicas: number): string[] {
  return Array.from({ length: replicas }, (_, index) => (index === 0 ? "replica" : `replica${index + 1}`));
}

/**
 * Capabilities of a container: only what its start needs. As root it gives volumes and secrets to the servers' user
 * (CHOWN, DAC_OVERRIDE, FOWNER), becomes that user (SETUID, SETGID), and passes on the engine's signals (KILL).
 */
const HARDENED = {
  security_opt: ["no-new-privileges:true"],
  cap_drop: ["ALL"],
  cap_add: ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"],
};
/** Data is written to volumes; everything else is gone with the container. */
const READ_ONLY = { read_only: true, tmpfs: ["/tmp", "/run", "/var/log"] };

/** A replica gets all passwords too: it is the one that gives them to the roles when it is promoted. */
function node(name: string, nodeName: string, port: number, environment: Record<string, string>): object {
  return {
    image: IMAGE,
    hostname: name,
    restart: "unless-stopped",
    // A checkpoint of a large database takes time; the engine would kill the server after 10 s.
    stop_grace_period: "2m",
    // PostgreSQL's parallel queries share memory there, and how much depends on work_mem; the engine's default is 64
    // MB.
    shm_size: "1g",
    ...HARDENED,
    environment: {
      ODOO_PG_NODE: nodeName,
      POSTGRES_USER: ODOO_ROLE,
      POSTGRES_PASSWORD_FILE: secret(SECRET_FILES.odoo),
      REPLICATOR_PGSQL_PASSWD_FILE: secret(SECRET_FILES.replicator),
      COLLECTD_PGSQL_PASSWD_FILE: secret(SECRET_FILES.collectd),
      ...environment,
    },
    ports: [published(port, 5432)],
  };
}

/**
 * The compose file. Pure; the same options always give the same bytes. For Compose v2 and for docker-compose 1.29: so
 * there is no `version`, no `name`, and no `secrets` (1.29 and 2 disagree about files that are not there yet).
 */
export function renderCompose(options: ComposeOptions): string {
  const replicas = replicaNames(options.replicas);
  const volumes = ["primary", ...replicas, "endpoints", "backups", "odoo", "pgadmin"];
  const document = {
    services: servicesOf(options, replicas),
    volumes: Object.fromEntries(volumes.map((name) => [name, {}])),
  };
  return headOf(options, replicas) + stringify(document, { lineWidth: 0, aliasDuplicateObjects: false });
}

function servicesOf(options: ComposeOptions, replicas: readonly string[]): object {
  return {
    setup: {
      image: IMAGE,
      command: ["odoo-pg", "container-setup"],
      network_mode: "none",
      security_opt: HARDENED.security_opt,
      cap_drop: HARDENED.cap_drop,
      cap_add: ["CHOWN", "DAC_OVERRIDE", "FOWNER"],
      // Instead of an anonymous volume: each start would leave one behind.
      tmpfs: ["/var/lib/postgresql"],
      environment: {
        REPLICAS: String(options.replicas),
        POSTGRES_USER: ODOO_ROLE,
      },
      volumes: [
        // It reads .env itself: `docker inspect` and `compose config` would show a password in its environment.
        ".:/setup/project:ro",
        "./secrets:/setup/secrets",
        "./odoo:/setup/odoo",
        "./pgadmin:/setup/pgadmin",
        "odoo:/setup/odoo-data",
      ],
    },
    primary: {
      ...node("primary", "pg1", 5433, {
        // So that attachments are in the backups.
        ODOO_FILESTORE: "/var/lib/odoo/filestore",
        [PUBLISHED_CONSOLE]: address(CONSOLE.here),
      }),
      ports: [published(5433, 5432), published(CONSOLE.here, CONSOLE.inside)],
      volumes: [
        "primary:/var/lib/postgresql",
        "backups:/usr/local/openerp/backups",
        "odoo:/var/lib/odoo",
        SECRETS,
      ],
      depends_on: SETUP_DONE,
    },
    ...Object.fromEntries(
      replicas.map((name, index) => [
        name,
        {
          ...node(name, `pg${index + 2}`, replicaPort(index), {
            SLAVEHOST: "primary",
          }),
          volumes: [`${name}:/var/lib/postgresql`, SECRETS],
          depends_on: { primary: { condition: "service_healthy" } },
        },
      ]),
    ),
    endpoints: {
      image: IMAGE,
      hostname: "endpoints",
      restart: "unless-stopped",
      ...HARDENED,
      ...READ_ONLY,
      environment: {
        ENDPOINTS_FOR: ["primary", ...replicas].join(" "),
        COLLECTD_PGSQL_PASSWD_FILE: secret(SECRET_FILES.collectd),
      },
      ports: [published(5435, 5435), published(5436, 5436)],
      volumes: ["endpoints:/var/lib/postgresql", SECRETS],
      depends_on: { primary: { condition: "service_healthy" } },
    },
    odoo: {
      image: "${ODOO_IMAGE:-odoo:19}",
      ...(options.odoo ? {} : { profiles: ["odoo"] }),
      restart: "unless-stopped",
      user: `${SERVERS_USER.uid}:${SERVERS_USER.gid}`,
      security_opt: HARDENED.security_opt,
      cap_drop: HARDENED.cap_drop,
      // That user has no name there, and Odoo asks for one when it starts.
      environment: { HOME: "/var/lib/odoo", LOGNAME: "odoo" },
      ports: [published(8069, 8069), published(8072, 8072)],
      volumes: ["./odoo:/etc/odoo:ro", "odoo:/var/lib/odoo"],
      depends_on: { endpoints: { condition: "service_healthy" } },
    },
    pgadmin: {
      image: "${PGADMIN_IMAGE:-dpage/pgadmin4:9}",
      ...(options.pgadmin ? {} : { profiles: ["pgadmin"] }),
      restart: "unless-stopped",
      environment: {
        PGADMIN_DEFAULT_EMAIL: "${PGADMIN_EMAIL:-admin@example.com}",
        PGADMIN_DEFAULT_PASSWORD_FILE: "/run/pgadmin/password",
        PGADMIN_SERVER_JSON_FILE: "/run/pgadmin/servers.json",
        PGPASS_FILE: "/run/pgadmin/pgpass",
      },
      ports: [published(5050, 80)],
      volumes: ["./pgadmin:/run/pgadmin:ro", "pgadmin:/var/lib/pgadmin"],
      depends_on: { primary: { condition: "service_healthy" } },
    },
  };
}

/** What the file says of itself: how it was made, how it is used, which ports it takes. */
function headOf(options: ComposeOptions, replicas: readonly string[]): string {
  const ports = replicas.map((_, index) => replicaPort(index)).join(", ");
  const words = [
    options.replicas === 1 ? "" : ` --replicas ${options.replicas}`,
    options.odoo ? " --odoo" : "",
    options.pgadmin ? " --pgadmin" : "",
  ].join("");
  return `${COMPOSE_HEAD}${words}
#
#   docker compose up -d                                    the cluster; passwords are generated into ./secrets
#   docker compose --profile odoo --profile pgadmin up -d   with Odoo 19 and pgAdmin
#
# Primary 5433, ${ports === "" ? "" : `replicas ${ports}, `}reads 5435, writes 5436, Odoo 8069, console 5051 (https), pgAdmin 5050: on this host alone, unless
# ODOO_PG_ADDRESS in .env names another of its addresses. Changes of yours belong in compose.override.yaml: this file is
# rewritten by odoo-pg compose.
`;
}
