import type { Config } from "../config/schema.ts";
import { MANAGED } from "../config/settings/managed.ts";
import { archivesNothing, archivingSettings } from "../config/settings/archiving.ts";
import { defaultSettings, stockOf, type Chosen, type Settings } from "../config/settings/table.ts";
import type { Layout, NodeConfig, NodeLayout } from "../config/layout.ts";
import { foreignSlotName, slotName } from "../config/layout.ts";
import { BARRED_ROLE, PASSING_ROLE } from "./sql/access/passing.ts";
import { conninfo, quoteHba, quoteIdentifier, quotePassfileField, quoteSetting } from "./sql/quoting.ts";

/** The machine's resources; read once by the caller so that rendering stays pure. */
export interface MachineFacts {
  /** Size of the disk that holds the node's data. */
  readonly diskBytes: number;
  /** Whether all of 127.0.0.0/8 is this machine; true where it does not matter. */
  readonly hasLoopbackNetwork: boolean;
  /** As Node.js names it. */
  readonly platform: string;
  /** Of the servers that run here, where it is known. */
  readonly major: number | undefined;
}

export interface NodeRenderInput {
  readonly config: Config;
  readonly layout: Layout;
  readonly node: NodeConfig;
  readonly files: NodeLayout;
  readonly facts: MachineFacts;
  /** What was chosen for the cluster when it was made. */
  readonly kept: Settings;
  /** The node that this one would follow: the primary, or undefined on the primary itself. */
  readonly upstream: { host: string; port: number } | undefined;
  /** Whose primary it is: odoo-pg's own (default), or somebody else's. */
  readonly follows?: "own" | "foreign" | undefined;
  /**
   * Lower limits for the settings that a replica may not have below its primary's running values
   * (hot_standby, "Administrator's Overview"). Empty on the primary.
   */
  readonly floor: Readonly<Record<string, number>>;
  /** The command that takes WAL into the repository, while there is one to take it. */
  readonly archiveCommand?: string | undefined;
}

/** What belongs to odoo-pg alone; the configuration has keys of its own for it. */
function managedSettings(input: NodeRenderInput): Record<string, Chosen> {
  const values = { ...nodeSettings(input), ...followingSettings(input) };
  return Object.fromEntries(
    MANAGED.flatMap(({ name, instead, value = values[name] }) =>
      value === undefined ? [] : [[name, { value, why: instead }] as const],
    ),
  );
}

function nodeSettings({ config, layout, node, files }: NodeRenderInput): Settings {
  return {
    data_directory: files.dataDir,
    hba_file: files.hbaFile,
    ident_file: files.identFile,
    cluster_name: `${config.cluster}/${node.name}`,
    port: String(node.port),
    listen_addresses: config.listen.join(","),
    unix_socket_directories: layout.runDir,
    ssl_cert_file: files.certificateFile,
    ssl_key_file: files.keyFile,
    log_directory: files.logDir,
    hot_standby: config.upstream?.hot_standby === false ? "off" : "on",
  };
}

function followingSettings(input: NodeRenderInput): Settings {
  const { config, node, upstream, follows } = input;
  if (!upstream) return {};
  return {
    primary_conninfo: primaryConninfo(input, upstream),
    // With it the primary keeps the WAL that this replica still needs.
    primary_slot_name:
      follows === "foreign" ? foreignSlotName(config.cluster, node.name) : slotName(node.name),
  };
}

/**
 * How a replica, and who fetches a copy, reaches the primary: one of this cluster runs on this host, and its Unix socket,
 * which the servers' user and root alone reach, spares both sides the ciphering of every byte. Each commit that waits for
 * a replica has it twice in its way.
 */
export function primaryConninfo(
  input: Pick<NodeRenderInput, "config" | "layout" | "node" | "follows">,
  upstream: { host: string; port: number },
): string {
  if (input.follows === "foreign") return foreignConninfo(input, upstream);
  return socketConninfo(input, upstream);
}

function socketConninfo(
  { layout, node }: Pick<NodeRenderInput, "layout" | "node">,
  upstream: { port: number },
): string {
  return conninfo({
    host: layout.runDir,
    port: upstream.port,
    user: "replicator",
    passfile: passfilePath(layout),
    application_name: node.name,
    connect_timeout: 5,
  });
}

/** How a primary that odoo-pg does not run is reached. Its certificate is not known here. */
function foreignConninfo(
  { config, layout, node }: Pick<NodeRenderInput, "config" | "layout" | "node">,
  upstream: { host: string; port: number },
): string {
  return conninfo({
    host: upstream.host,
    port: upstream.port,
    user: config.upstream?.user ?? "replicator",
    passfile: passfilePath(layout),
    application_name: node.name,
    connect_timeout: 5,
    sslmode: "prefer",
  });
}

export function passfilePath(layout: Layout): string {
  return `${layout.secretsDir}/replicator.pgpass`;
}

function configuredSettings(input: NodeRenderInput): Record<string, Chosen> {
  const { config, kept, facts } = input;
  const user = Object.entries(config.postgres.parameters).map(
    ([name, value]) => [name, { value, why: "postgres.parameters" }] as const,
  );
  return {
    ...defaultSettings(kept, facts),
    ...archivingSettings(config, facts.platform, input.archiveCommand),
    ...Object.fromEntries(user),
    ...managedSettings(input),
  };
}

/** What a node is given, by name: for who compares. Everything else PostgreSQL decides. */
export function configuredParameters(input: NodeRenderInput): ReadonlyMap<string, string> {
  return new Map(Object.entries(configuredSettings(input)).map(([name, { value }]) => [name, value]));
}

/**
 * The whole configuration file of a node. Order of rule: odoo-pg's defaults, then the user's parameters,
 * then what odoo-pg manages (the configuration's schema refuses those as parameters).
 */
export function renderPostgresqlConf(input: NodeRenderInput): string {
  const all = configuredSettings(input);
  for (const [name, least] of Object.entries(input.floor)) {
    const wanted = Number(all[name]?.value ?? stockOf(name));
    if (Number.isFinite(wanted) && wanted < least) {
      all[name] = { value: String(least), why: "not below the primary's running value" };
    }
  }
  const lines = Object.entries(all)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { value, why }]) => `${name} = ${quoteSetting(value)}  # ${why}`);
  return [
    `# Made by odoo-pg for node ${input.node.name}. Changes here are lost: use postgres.parameters in odoo-pg.yaml.`,
    ...lines,
    `include_if_exists = ${quoteSetting(input.files.synchronousFile)}  # which replicas a commit waits for`,
    "",
  ].join("\n");
}

/**
 * A node's configuration file with nothing archived; the same one where it archives by another command.
 * @param mark what the command has in it, also where another version of odoo-pg wrote it
 */
export function withoutArchiveCommand(text: string, mark: string, platform: string): string {
  const within = quoteSetting(mark).slice(1, -1);
  return text.replace(/^archive_command = ('(?:[^']|'')*') /m, (line, value: string) =>
    value.includes(within) ? `archive_command = ${quoteSetting(archivesNothing(platform))} ` : line,
  );
}

export interface HbaInput {
  /** Networks in CIDR form that may connect, with TLS. */
  readonly networks: readonly string[];
  /** Where HAProxy comes from; undefined where it cannot be told from other programs of this host. */
  readonly source: string | undefined;
  /** Whose data the cluster has: in somebody else's, nobody keeps the two roles of passing.ts. */
  readonly follows?: "own" | "foreign" | undefined;
}

/** The clients that may connect, from where, and how. The first line that fits decides. */
export function renderHba({ networks, source, follows = "own" }: HbaInput): string {
  const lines = [
    // By the process's user, at a socket that only the servers' user and root reach: a password could be lost.
    "local all postgres peer map=odoo_pg",
    "local replication replicator scram-sha-256",
    "local all all scram-sha-256",
    ...(source === undefined ? [] : throughEndpoints(`${source}/32`, follows)),
  ];
  for (const loopback of ["127.0.0.1/32", "::1/128"]) {
    if (source === undefined) lines.push(...throughEndpoints(loopback, follows));
    else {
      lines.push(`host replication replicator ${quoteHba(loopback)} scram-sha-256`);
      lines.push(`host all all ${quoteHba(loopback)} scram-sha-256`);
    }
  }
  for (const network of [...networks].sort()) {
    lines.push(`hostssl replication replicator ${quoteHba(network)} scram-sha-256`);
    // The superuser works on this host only: over the network it would be a way to run programs.
    lines.push(`hostssl all ${mighty(follows)} ${quoteHba(network)} reject`);
    lines.push(`hostssl all all ${quoteHba(network)} scram-sha-256`);
  }
  return [
    "# Made by odoo-pg: SCRAM only; replication only for role replicator; other hosts only by TLS and from `networks`.",
    ...lines,
    "",
  ].join("\n");
}

function mighty(follows: "own" | "foreign"): string {
  return follows === "own" ? `postgres,+${BARRED_ROLE}` : "postgres";
}

/** What HAProxy forwards: Odoo's roles and others that are only users of databases, never a superuser or replication. */
function throughEndpoints(address: string, follows: "own" | "foreign"): string[] {
  const from = quoteHba(address);
  return [
    `host replication all ${from} reject`,
    `host all ${follows === "own" ? mighty(follows) : "postgres,replicator"} ${from} reject`,
    `host all ${follows === "own" ? `+${PASSING_ROLE}` : "all"} ${from} scram-sha-256`,
    `host all all ${from} reject`,
  ];
}

/** Users of this host that may be the superuser by who they are, where the server asks for `peer`. */
export function renderIdent(users: readonly string[]): string {
  const lines = [...new Set(users)].sort().map((user) => `odoo_pg ${quoteHba(user)} postgres`);
  return ["# Made by odoo-pg.", ...lines, ""].join("\n");
}

/** The password file by which replicas log in at whichever node is primary: passwords by role. */
export function renderPassfile(passwords: Readonly<Record<string, string>>): string {
  return Object.entries(passwords)
    .map(([role, password]) => `*:*:*:${quotePassfileField(role)}:${quotePassfileField(password)}\n`)
    .join("");
}

/**
 * The replicas that a commit waits for: all that are named, or none. In read-your-writes synchronous_commit stays at
 * remote_apply also while the list is empty, so that only WAL senders have to learn of a new list, never sessions.
 */
export function renderSynchronous(readYourWrites: boolean, standbys: readonly string[]): string {
  const names = [...standbys].sort();
  const list = names.length
    ? `${names.length} (${names.map((name) => quoteIdentifier(name)).join(", ")})`
    : "";
  return [
    "# Made by odoo-pg: the pool of the read endpoint, where its consistency is read-your-writes.",
    `synchronous_standby_names = ${quoteSetting(list)}`,
    ...(readYourWrites ? ["synchronous_commit = 'remote_apply'"] : []),
    "",
  ].join("\n");
}

/** The names in a text of renderSynchronous. */
export function synchronousNames(text: string): string[] {
  return quotedNames(/^synchronous_standby_names = '(.*)'$/m.exec(text)?.[1] ?? "");
}

/** The names in a value of synchronous_standby_names that odoo-pg wrote: all in double quotes. */
export function quotedNames(value: string): string[] {
  return [...value.matchAll(/"([^"]+)"/g)].map((match) => match[1] ?? "");
}

/** The standbys that every commit waits for: none when it waits for some of those that are named. */
export function awaitedNames(value: string): string[] {
  const names = quotedNames(value);
  return value.startsWith(`${names.length} (`) ? names : [];
}
