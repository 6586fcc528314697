import { readArchive } from "../archive/record.ts";
import { observationsOf } from "../members/observations.ts";
import { statusOf } from "../cluster/status.ts";
import { withUpstream, type DiskUse } from "../cluster/view.ts";
import type { StatusDocument } from "../cluster/documents/status.ts";
import { endpointHost } from "../config/values/addresses.ts";
import { layoutOf, type Layout, type NodeConfig } from "../config/layout.ts";
import type { Config } from "../config/schema.ts";
import type { NodeObservation } from "../model/observation.ts";
import { certificateEndsOf } from "../observe/certificate-ends.ts";
import { diskUseOf } from "../observe/disk-use.ts";
import { readCopies } from "../store/copy-status.ts";
import { readSecondDrill } from "../store/second-drill.ts";
import { readBackupStatus } from "../store/backup-status.ts";
import { followsUpstream, readApplied, readState } from "../store/state.ts";
import { now, within } from "../system/clock.ts";
import { accepts } from "../system/network/network.ts";
import { agentObservations, agentReport } from "./control/ask.ts";
import type { SizedObservation } from "./observe-node.ts";

/**
 * Timeouts in milliseconds. Everything is read at the same time, so the slowest of these is the most that a status takes; only
 * where the agent does not answer, the servers are observed without it afterwards.
 */
const OBSERVATIONS_TIMEOUT = 300;
const AGENT_TIMEOUT = 500;
const DISK_TIMEOUT = 1000;
const ASIDE_TIMEOUT = 500;
const CONNECT_TIMEOUT = 300;

/** Which cluster, and which program asks. */
export interface StatusRequest {
  /** As it is in the configuration file now. */
  readonly config: Config;
  /** The configuration file that suggested commands name; undefined where they need none. */
  readonly configFile: string | undefined;
  /** The build of the program that asks: an agent of another build is reported. */
  readonly build: string;
}

/**
 * Reads every part of the cluster at the same time. A dead or hung part costs no more than its timeout and shows as such.
 * The applied configuration counts, not what the file says by now. The agent's observations are used; where it does not
 * answer, the servers are observed without it.
 * @throws OdooPgError state_dir_unusable when the state cannot be read.
 */
export async function gatherStatus(asked: StatusRequest): Promise<StatusDocument> {
  const layout = layoutOf(asked.config.state_dir);
  const observing = agentObservations(layout, OBSERVATIONS_TIMEOUT);
  const reported = agentReport(layout, AGENT_TIMEOUT);
  const [applied, record, backups, archive, secondDrill, copies] = await Promise.all([
    readApplied(layout),
    readState(layout),
    readBackupStatus(layout.stateDir),
    readArchive(layout),
    readSecondDrill(layout.stateDir),
    readCopies(layout),
  ]);
  const own = applied?.config ?? asked.config;
  const followed = followsUpstream(record) ? own.upstream : undefined;
  const config = followed ? withUpstream(own, followed) : own;
  const host = endpointHost(config.listen);
  const answers = async (port: number): Promise<boolean> => await accepts(host, port, CONNECT_TIMEOUT);
  const [upstream, observed, agent, disks, certificates, readAnswers, writeAnswers] = await Promise.all([
    followed && observeUpstream(layout, followed),
    observesAt(layout, own.nodes, record?.primary, observing),
    reported,
    Promise.all(own.nodes.map(async (node) => await diskOf(layout, node))),
    certificateEndsOf(layout, own.nodes),
    answers(config.endpoints.read.port),
    answers(config.endpoints.write.port),
  ]);
  return statusOf({
    config,
    configChanged: applied !== undefined && comparable(applied.config) !== comparable(asked.config),
    record: record && {
      primary: record.primary,
      systemIdentifier: record.system_identifier,
      stopped: record.stopped,
    },
    observations: [...(upstream ? [upstream] : []), ...observed.map(({ observation }) => observation)],
    agent,
    otherAgent: agent && agent.build !== asked.build ? agent.version : undefined,
    databaseBytes: observed.find(({ size }) => size !== undefined)?.size,
    databases: observed.find(({ databases }) => databases !== undefined)?.databases,
    disks: new Map(disks.flatMap((disk) => (disk ? [disk] : []))),
    certificates,
    endpoints: { host, readAnswers, writeAnswers },
    backups: { ...backups, launchedAt: record?.history[0]?.at },
    archive,
    secondDrill,
    copies,
    now: now(),
    configFile: asked.configFile,
  });
}

/**
 * The keys that come from the file alone. Parameters and password files may come from the environment of another `up`.
 */
function comparable(config: Config): string {
  const { password_files: _, postgres, upstream, ...rest } = config;
  return JSON.stringify({
    ...rest,
    postgres: { ...postgres, parameters: {} },
    upstream: upstream && { ...upstream, password_file: undefined },
  });
}

async function observeUpstream(
  layout: Layout,
  upstream: NonNullable<Config["upstream"]>,
): Promise<NodeObservation> {
  const { ForeignPrimary } = await import("../members/foreign-primary.ts");
  const { readPassword } = await import("../store/secrets.ts");
  const primary = new ForeignPrimary(upstream, (await readPassword(layout, "upstream")) ?? "");
  return await primary.observe();
}

/** The agent's observations; nodes that it does not report are observed without it. */
async function observesAt(
  layout: Layout,
  nodes: readonly NodeConfig[],
  primary: string | undefined,
  observing: ReturnType<typeof agentObservations>,
): Promise<SizedObservation[]> {
  const observed = await observing;
  const seen = new Map(
    observed && observationsOf(observed).map((observation) => [observation.name, observation]),
  );
  return await Promise.all(
    nodes.map(async ({ name, ...node }) => {
      const observation = seen.get(name);
      const isPrimary = name === primary;
      if (!observation)
        return await (await import("./observe-node.ts")).observeNode(layout, { name, ...node }, isPrimary);
      const answers = isPrimary && observation.answer.kind === "facts";
      return {
        observation,
        size: (answers && observed?.database_bytes) || undefined,
        databases: (answers && observed?.databases) || undefined,
      };
    }),
  );
}

async function diskOf(layout: Layout, node: NodeConfig): Promise<[string, DiskUse] | undefined> {
  // A network file system that hangs must not hang `status`.
  const space = within(DISK_TIMEOUT, node.name, diskUseOf(layout, node, ASIDE_TIMEOUT));
  return await space.then(
    (disk) => [node.name, disk],
    () => undefined,
  );
}
