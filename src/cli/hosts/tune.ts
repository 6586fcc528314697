import { hostsStatus } from "../../hosts/ask-agent.ts";
import { leastMachine } from "../../hosts/decisions/settings/least-machine.ts";
import { readFileConfig, readHostRecord } from "../../hosts/documents/record.ts";
import type { GivenFigures } from "../../postgres/figures.ts";
import { loadContext, type Context } from "../context.ts";

/** Timeout for the agent of this host to report on the others, in milliseconds. */
const AGENT_TIMEOUT = 3000;

/** The facts that `tune` needs besides, where the cluster has several hosts. */
export interface TuneOverHosts {
  /** This host. */
  readonly own: string;
  /** The figures that the advice uses, unless the user gives others. */
  readonly given: GivenFigures;
  /** How they are known, where other hosts reported them. */
  readonly from: { readonly memoryFrom?: string; readonly cpusFrom?: string; readonly diskFrom?: string };
  /** The contents of this host's file when it was last applied. */
  readonly known: ReadonlyMap<string, string>;
  /** The context in which this host's file is changed: what runs came from the store. */
  readonly file: Context;
  readonly notes: readonly string[];
}

/**
 * Any host may be the primary, and the settings are the same on all: so they are chosen for the minimum of the hosts with a
 * database. Undefined where the cluster has one host.
 * @throws OdooPgError state_dir_unusable, config_invalid
 */
export async function tuneOverHosts(
  context: Context,
  given: GivenFigures,
): Promise<TuneOverHosts | undefined> {
  const { layout, invocation, output, configFile } = context;
  const record = await readHostRecord(layout);
  if (!record) return undefined;
  const [status, known, file] = await Promise.all([
    hostsStatus(layout, AGENT_TIMEOUT),
    readFileConfig(layout),
    loadContext(invocation, output, configFile),
  ]);
  const least = status && leastMachine(status);
  const from = least && `the least of ${least.of.join(", ")}`;
  return {
    own: record.name,
    given: {
      memoryBytes: given.memoryBytes ?? least?.memoryBytes,
      cpus: given.cpus ?? least?.cpus,
      disk: given.disk ?? least?.disk,
    },
    from:
      from === undefined
        ? {}
        : {
            ...(given.memoryBytes === undefined && { memoryFrom: from }),
            ...(given.cpus === undefined && { cpusFrom: from }),
            ...(given.disk === undefined && { diskFrom: from }),
          },
    known: new Map(Object.entries(known?.postgres.parameters ?? {})),
    file,
    notes: least
      ? least.unknown.map((name) => `${name} does not say what machine it has: it is not counted here.`)
      : ["The agent does not report the other hosts: only this host is counted."],
  };
}
