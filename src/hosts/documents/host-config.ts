import type { Config } from "../../config/schema.ts";
import { withOwnPart } from "../decisions/own-part.ts";
import type { ClusterDocument, Host } from "./record.ts";

/** The configuration as one host applies it: its own node alone, its own address in the place of the first host's, its own part. */
export function configOf(
  document: ClusterDocument,
  host: Host,
  node: string,
  local: { stateDir: string; user: string | undefined; fileConfig: Config | undefined },
): Config {
  const { port } = document;
  const config = withOwnPart(document.config, local.fileConfig);
  return {
    ...config,
    state_dir: local.stateDir,
    ...(local.user === undefined ? {} : { user: local.user }),
    listen: [...new Set(["127.0.0.1", host.address])],
    nodes: [{ name: node, host: host.address, port, ...dataDirOf(config, node) }],
    networks: [...config.networks],
  };
}

function dataDirOf(config: Config, node: string): { data_dir?: string } {
  const given = config.nodes.find(({ name }) => name === node)?.data_dir;
  return given === undefined ? {} : { data_dir: given };
}

/** What the endpoints of a host lead to: every host with a database. */
export function servedConfig(document: ClusterDocument): Config {
  return {
    ...document.config,
    listen: ["127.0.0.1"],
    nodes: databasesOf(document).map(({ name, address: host }) => ({ name, host, port: document.port })),
  };
}

/** The document without what is of hosts with a database: addresses of copies and commands may hold secrets. */
export function forGuests(document: ClusterDocument): ClusterDocument {
  return { ...document, config: withOwnPart(document.config, undefined) };
}

export function databasesOf({ hosts }: Pick<ClusterDocument, "hosts">): Host[] {
  return hosts.filter(({ role }) => role === "database");
}
