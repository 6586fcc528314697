import { stringify } from "yaml";
import { COMPOSE_HEAD, IMAGE, SERVERS_USER } from "./compose.ts";

/** A file of the example, by its path below the folder. */
export interface ExampleFile {
  readonly path: string;
  readonly text: string;
}

/** The three hosts of the example: two with a database, and a witness. */
interface ExampleHost {
  readonly name: string;
  readonly address: string;
  readonly role: "first" | "database" | "witness";
}

/** Addresses of the network in the example for a laptop. */
const LAPTOP_NET = "172.30.77.0/24";
const LAPTOP_ADDRESSES = ["172.30.77.11", "172.30.77.12", "172.30.77.13"] as const;

const STATE = "/var/lib/postgresql/ha";
const CONFIG = "/etc/odoo-pg/odoo-pg.yaml";

function hostsAt(addresses: readonly string[]): ExampleHost[] {
  const [first = "", second = "", third = ""] = addresses;
  return [
    { name: "db1", address: first, role: "first" },
    { name: "db2", address: second, role: "database" },
    { name: "witness", address: third, role: "witness" },
  ];
}

/** The configuration of one host: the first creates the cluster, the others join it. */
function renderConfig({ name, address, role }: ExampleHost): string {
  const config = {
    cluster: "odoo",
    state_dir: STATE,
    ...(role === "first" ? { listen: ["127.0.0.1", address], nodes: [{ name, port: 5433 }] } : {}),
    ...(role === "witness" ? {} : { backup: { dir: "/usr/local/openerp/backups" } }),
  };
  return `# Made by: odoo-pg compose --ha. What is of ${name} alone; see docs/high-availability.md.\n${stringify(config)}`;
}

function serviceOf({ name, role }: ExampleHost, config: string, network: object): object {
  return {
    image: IMAGE,
    hostname: name,
    // The programs of a host run as the servers' user, and need no other rights.
    user: `${SERVERS_USER.uid}:${SERVERS_USER.gid}`,
    command: ["odoo-pg-host", STATE, ...(role === "first" ? ["first"] : [])],
    restart: "unless-stopped",
    // Gives another host time to take over, and the server time to write its checkpoint.
    stop_grace_period: "2m",
    shm_size: "1g",
    security_opt: ["no-new-privileges:true"],
    cap_drop: ["ALL"],
    environment: { HOME: "/var/lib/postgresql", ODOO_PG_CONFIG: CONFIG, PGHOST: `${STATE}/run` },
    // `odoo-pg status` reports the health of a host there: the health check for a container of one node does not apply
    // here.
    healthcheck: { disable: true },
    volumes: [
      `${config}:${CONFIG}:ro`,
      `${name}:/var/lib/postgresql`,
      ...(role === "witness" ? [] : [`${name}-backups:/usr/local/openerp/backups`]),
    ],
    ...network,
  };
}

const volumesOf = (hosts: readonly ExampleHost[]): Record<string, object> =>
  Object.fromEntries(
    hosts.flatMap(({ name, role }) =>
      [name, ...(role === "witness" ? [] : [`${name}-backups`])].map((volume) => [volume, {}]),
    ),
  );

function rendered(lines: readonly string[], document: object): string {
  const head = [`${COMPOSE_HEAD} --ha`, "#", ...lines.map((line) => (line === "" ? "#" : `# ${line}`))];
  return `${head.join("\n")}\n${stringify(document, { lineWidth: 0, aliasDuplicateObjects: false })}`;
}

/** One after another, as on machines: `init` on the first, `join` on the others. */
function steps(hosts: readonly ExampleHost[]): string[] {
  return hosts.map(({ name, address, role }) =>
    role === "first"
      ? `  docker compose exec ${name} odoo-pg ha init --address ${address}`
      : `  docker compose exec ${name} odoo-pg join 'INVITATION' --address ${address}${role === "witness" ? " --witness" : ""}`,
  );
}

/**
 * Three hosts of containers: a folder for each host, and one for trying all three on a laptop. Pure; the same addresses
 * always give the same bytes.
 * @param addresses of the three hosts, the witness last
 */
export function renderHostsExample(addresses: readonly string[]): ExampleFile[] {
  const hosts = hostsAt(addresses);
  const tried = hostsAt(LAPTOP_ADDRESSES);
  const invited = "  docker compose exec db1 odoo-pg ha invite";
  return [
    ...hosts.flatMap((host): ExampleFile[] => [
      {
        path: `${host.name}/compose.yaml`,
        text: rendered(
          [
            `On the host ${host.address}:`,
            "",
            "  docker compose up -d",
            ...steps([host]),
            "",
            host.role === "first"
              ? "It prints the INVITATION of the next host; another one for each further host:"
              : "The INVITATION is printed on db1; for each further host there is another one:",
            "",
            invited,
            "",
            "The endpoints of the host are its own 127.0.0.1:5436 (writes) and 127.0.0.1:5435 (reads).",
          ],
          {
            services: { [host.name]: serviceOf(host, "./odoo-pg.yaml", { network_mode: "host" }) },
            volumes: volumesOf([host]),
          },
        ),
      },
      { path: `${host.name}/odoo-pg.yaml`, text: renderConfig(host) },
    ]),
    {
      path: "laptop/compose.yaml",
      text: rendered(
        [
          "All three hosts on one machine, to try it: it shows what happens, and protects from nothing.",
          "",
          "  docker compose up -d",
          ...steps(tried),
          "",
          "Each INVITATION is good for one host; the next one:",
          "",
          invited,
          "",
          "Pull a plug, and look:  docker compose kill db1;  docker compose exec db2 odoo-pg status",
          'An Odoo to try it with shares the network of a host (network_mode: "service:db2"): its endpoints are 127.0.0.1.',
        ],
        {
          services: Object.fromEntries(
            tried.map((host) => [
              host.name,
              serviceOf(host, `./${host.name}.yaml`, { networks: { hosts: { ipv4_address: host.address } } }),
            ]),
          ),
          networks: { hosts: { ipam: { config: [{ subnet: LAPTOP_NET }] } } },
          volumes: volumesOf(tried),
        },
      ),
    },
    ...tried.map((host): ExampleFile => ({ path: `laptop/${host.name}.yaml`, text: renderConfig(host) })),
  ];
}
