import * as z from "zod";
import { resolvedConfigSchema, type Config } from "../../../config/schema.ts";
import { isOfOneHost } from "./own-part.ts";

/** One changed value of the configuration. */
export const configChangeSchema = z.object({
  /** Its keys, from the outermost. */
  path: z.string().array().min(1),
  /** Left out: the value is removed. */
  value: z.unknown().optional(),
});
export type ConfigChange = z.output<typeof configChangeSchema>;

/** What differs between two configurations, value by value; lists are one value each. */
export function changesBetween(before: Config, after: Config): ConfigChange[] {
  return differences(before, after, []);
}

function differences(before: unknown, after: unknown, path: readonly string[]): ConfigChange[] {
  if (isRecord(before) && isRecord(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
    return keys.flatMap((key) => differences(before[key], after[key], [...path, key]));
  }
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  return [{ path: [...path], ...(after === undefined ? {} : { value: after }) }];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The configuration with these values. @throws ZodError where it becomes invalid */
export function withChanges(config: Config, changes: readonly ConfigChange[]): Config {
  return resolvedConfigSchema.parse(changes.reduce<unknown>(replaced, config));
}

function replaced(within: unknown, { path: [key, ...rest], value }: ConfigChange): unknown {
  const record = isRecord(within) ? within : {};
  if (key === undefined) return value;
  const inner = rest.length ? replaced(record[key], { path: rest, value }) : value;
  const { [key]: _before, ...others } = record;
  return inner === undefined ? others : { ...others, [key]: inner };
}

/** Keys that cannot be changed for all hosts: they belong to one host, or were decided when the cluster got several. */
const FIXED: Readonly<Record<string, string>> = {
  cluster: "the name of the cluster stays",
  state_dir: "where a host keeps its files stays",
  user: "the user of the servers stays",
  listen: "a server listens on 127.0.0.1 and on its host's address",
  nodes: "each host has one server, and its port stays",
  upstream: "the primary is one of the hosts",
  "endpoints.read.consistency": "what reads promise is chosen before there are several hosts",
};

/** Why these changes are not made over several hosts; undefined where they are. */
export function refuseChanges(changes: readonly ConfigChange[]): string | undefined {
  for (const { path } of changes) {
    if (isOfOneHost(path)) return `${showPath(path)} is of each host: its own file says it`;
    const fixed = Object.keys(FIXED).find((key) => showPath(path) === key || path[0] === key);
    if (fixed !== undefined) return `${showPath(path)} cannot be changed with several hosts: ${FIXED[fixed]}`;
  }
  return undefined;
}

/** Why a cluster with this configuration cannot have several hosts, and what to write; undefined where it can. */
export function unfitForHosts(config: Config): { readonly why: string; readonly write: string } | undefined {
  if (config.upstream)
    return { why: "the primary of this cluster is run by someone else", write: "no `upstream`" };
  if (config.tls)
    return {
      why: "the cluster has certificates of its own in `tls`, and several hosts work with those that odoo-pg makes, so far",
      write: "no `tls`",
    };
  return undefined;
}

export function showPath(path: readonly string[]): string {
  return path.join(".");
}
