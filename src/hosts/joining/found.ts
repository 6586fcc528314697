import { agentReport } from "../../agent/control/ask.ts";
import { ensureAgent, type AgentStart } from "../../agent/control/client.ts";
import { isAddress } from "../../config/values/addresses.ts";
import { archivePlaceOf } from "../../archive/place.ts";
import { readArchive } from "../../archive/record.ts";
import { nodeLayoutOf, type Layout } from "../../config/layout.ts";
import type { Config } from "../../config/schema.ts";
import { OdooPgError } from "../../errors.ts";
import { newHandle } from "../../members/runtime.ts";
import type { NodeHandle } from "../../members/node-handle.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import { findInstallation, type Installation } from "../../postgres/installation.ts";
import { renderSynchronous } from "../../postgres/render.ts";
import { findPostmaster, reloadServer, stopServer } from "../../postgres/server.ts";
import { reloadAndWait } from "../../postgres/reload.ts";
import { letRewind, runningSettings } from "../../postgres/sql/operations.ts";
import { quoteSetting } from "../../postgres/sql/quoting.ts";
import type { Progress } from "../../progress.ts";
import { lockHolder } from "../../store/lock.ts";
import {
  readApplied,
  readState,
  recordedPrimary,
  type Applied,
  type ClusterState,
} from "../../store/state.ts";
import { pause, waitUntil } from "../../system/clock.ts";
import {
  ensureDirectory,
  passableFor,
  readableBy,
  writeFileAtomic,
  writeFileIfChanged,
} from "../../system/files/files.ts";
import type { Machine } from "../../system/machine.ts";
import { requestJson } from "../../system/network/http.ts";
import { isPortFree } from "../../system/network/network.ts";
import { foreignAddressesOf, ownAddresses } from "../../system/network/own-address.ts";
import path from "node:path";
import * as z from "zod";
import { hostsStatus } from "../ask-agent.ts";
import { ensureHostAuthorities, newRequest, signRequest } from "./authority.ts";
import { commandOf } from "../archiving/decide.ts";
import { unfitForHosts } from "../decisions/settings/configure.ts";
import { hostFiles } from "../documents/files.ts";
import { settingsFileOf, writeOwnFiles, type OwnFilesInput } from "../render/own-files.ts";
import { findEtcd, findPatroni, requireEtcdModule } from "../programs/programs.ts";
import {
  HOST_NAME,
  keepDocument,
  keepFileConfig,
  newHostId,
  readHostRecord,
  readKeptDocument,
  wholeHostRecord,
  writeHostRecord,
  type ClusterDocument,
  type HostRecord,
} from "../documents/record.ts";
import { AGENT_PORT, API_PORT, peerUrlOf, PEER_PORT } from "../documents/places.ts";
import type { EtcdStart } from "../render/etcd.ts";
import { SHARED_SETTINGS } from "../render/patroni.ts";
import { CLIENT_PORT } from "../../consensus/etcd.ts";

export interface FoundInput {
  readonly start: AgentStart;
  readonly machine: Machine;
  readonly address: string;
  readonly name: string;
}

/** Milliseconds for Patroni to take the running server over. */
const ADOPT_TIMEOUT = 90_000;

/** Milliseconds after which HAProxy sends no reads to replicas for which no agent vouches. */
const UNVOUCHED = 2000;

/**
 * Makes this host, with its running cluster, the first of several: etcd and Patroni are started beside the server, which
 * keeps running with all its sessions. May be interrupted anywhere and run again.
 * @throws OdooPgError refused, program_missing, port_in_use, not_running, timed_out
 */
export async function foundCluster(input: FoundInput, progress: Progress): Promise<void> {
  const { start } = input;
  const { layout } = start;
  if (!(await readHostRecord(layout))) await prepare(input, progress);
  const record = await wholeHostRecord(layout);
  const document = await readKeptDocument(layout);
  if (!record || !document) throw new Error("the host's record was not written");
  if (!(await hostsStatus(layout, 2000))) {
    const installation = await findInstallation(
      { ...document.config.postgres, version: document.major },
      start,
    );
    await handOver(input, record, document, installation, progress);
    progress.step(record.name, "start etcd and Patroni");
    await ensureAgent(start);
  }
  await waitUntil(
    async () => {
      const status = await hostsStatus(layout, 2000);
      const own = status?.hosts.find(({ name }) => name === record.name)?.report;
      // Until then the endpoints send sessions to the server all the same.
      const isTaken = status?.store.answers === true && !status.failover.obstacles.includes("no_primary");
      return isTaken && status.primary === record.name && own?.patroni?.running === true;
    },
    {
      what: "Patroni to take the server over",
      timeout: ADOPT_TIMEOUT,
      interval: 200,
      next: nextStep`Look at ${hostFiles(layout).logDir} and ${odooPg("logs", "agent")}, then run the same command again`,
    },
  );
}

/** Refuses everything that can be refused, before anything that runs is changed. */
async function prepare(input: FoundInput, progress: Progress): Promise<void> {
  const { start, address, name } = input;
  const { layout, owner } = start;
  const [applied, state, report] = await Promise.all([
    readApplied(layout),
    readState(layout),
    agentReport(layout, 2000),
  ]);
  if (!applied || !state || report?.keeping !== true) {
    throw new OdooPgError("not_running", {
      message: "There is no running cluster on this host to begin with.",
      safe: "Nothing was changed.",
      next: nextStep`${odooPg("up")}, then run the same command again.`,
    });
  }
  refuseUnfit(applied, name, address);
  await requireOwnAddress(address);
  const [patroni] = await Promise.all([findPatroni(start), findEtcd(start)]);
  await requireEtcdModule(patroni, start);
  await requireFreePorts(address);
  const node = recordedPrimary(applied.config.nodes, state);
  if (!node) throw new OdooPgError("primary_unreachable", { message: "The primary is not on this host." });
  const primary = newHandle(layout, node);
  const settings = await seeSettings(primary, address);
  progress.step(name, "make certificates");
  const files = hostFiles(layout);
  await ensureDirectory(files.dir, passableFor(owner));
  await ensureHostAuthorities(files, applied.config.cluster);
  const request = await newRequest(files, name, owner);
  const certificate = await signRequest(files, request, { name, role: "database", address });
  await writeFileAtomic(files.certificate, certificate, { mode: 0o644 });
  await primary.use(letRewind);
  const id = newHostId();
  const document: ClusterDocument = {
    format: 1,
    cluster: applied.config.cluster,
    system_identifier: state.system_identifier ?? "",
    major: applied.major,
    config: applied.config,
    settings: settingsOf(state),
    shared: settings,
    restart: [],
    revoked: [],
    port: node.port,
    hosts: [{ name, role: "database", address, id }],
  };
  await keepDocument(layout, document);
  await keepFileConfig(layout, applied.config);
  const etcd: EtcdStart = { state: "new", members: { [name]: peerUrlOf({ address }) } };
  await writeFileAtomic(files.etcdStart, `${JSON.stringify(etcd)}\n`);
  // Last of all, as this file makes the host one of several.
  await writeHostRecord(layout, {
    format: 1,
    cluster: document.cluster,
    name,
    role: "database",
    address,
    node: node.name,
    store: [address],
    id,
    user: applied.config.user ?? null,
    data_dir: node.data_dir ?? null,
  });
}

function settingsOf(state: ClusterState): Readonly<Record<string, string>> {
  return state.settings ?? {};
}

function refuseUnfit({ config }: Applied, name: string, address: string): void {
  const refuse = (message: string, next: string): never => {
    throw new OdooPgError("refused", { message, safe: "Nothing was changed.", next });
  };
  if (!HOST_NAME.test(name))
    refuse(
      `"${name}" cannot be the name of a host: lower-case letters, digits and "_", at most 31, starting with a letter.`,
      "Run the same command with --name NAME.",
    );
  if (!isAddress(address) || address.startsWith("127.") || address === "::1")
    refuse(
      `"${address}" is not an IP address at which other hosts could reach this one.`,
      `Run the same command with one of this machine's: ${ownAddresses().join(", ")}`,
    );
  const unfit = unfitForHosts(config);
  if (unfit)
    refuse(
      `${unfit.why.slice(0, 1).toUpperCase()}${unfit.why.slice(1)}.`,
      `Write ${unfit.write} into odoo-pg.yaml, and run odoo-pg up.`,
    );
}

/** @throws OdooPgError refused for an address that is not this machine's */
export async function requireOwnAddress(address: string): Promise<void> {
  const foreign = await foreignAddressesOf(address);
  if (foreign?.length === 0) return;
  throw new OdooPgError("refused", {
    message: `${address} is not an address of this machine.`,
    safe: "Nothing was changed.",
    next: `Run the same command with one of these: --address ${ownAddresses().join(", ")}`,
  });
}

/** @throws OdooPgError port_in_use */
export async function requireFreePorts(address: string, more: readonly number[] = []): Promise<void> {
  for (const port of [CLIENT_PORT, PEER_PORT, API_PORT, AGENT_PORT, ...more]) {
    if (await isPortFree(port, address)) continue;
    throw new OdooPgError("port_in_use", {
      message: `Port ${port} of ${address} is in use, and the hosts of a cluster need it.`,
      safe: "Nothing was changed.",
      next: `See by whom: ss -tlnp sport = :${port}. Debian's own etcd and patroni services are not needed: systemctl disable --now etcd patroni`,
    });
  }
}

/** The running values of the settings that must be the same on every host. @throws OdooPgError refused */
async function seeSettings(primary: NodeHandle, address: string): Promise<Record<string, string>> {
  const running = await primary.use(
    async (session) => await runningSettings(session, [...SHARED_SETTINGS, "listen_addresses"]),
  );
  const listens = (running.get("listen_addresses")?.value ?? "").split(",").map((word) => word.trim());
  if (!listens.some((word) => word === "*" || word === "0.0.0.0" || word === address)) {
    throw new OdooPgError("refused", {
      message: `PostgreSQL listens on ${listens.join(", ")} alone, and other hosts must reach it on ${address}. That needs a restart, which ends sessions: it is yours to choose when.`,
      safe: "Nothing was changed.",
      next: nextStep`Write "listen: [127.0.0.1, ${address}]" into odoo-pg.yaml, then (connections wait for some seconds): ${odooPg("up")}; then run the same command again`,
    });
  }
  return Object.fromEntries(
    SHARED_SETTINGS.flatMap((name) => {
      const value = running.get(name)?.value;
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}

/** By what the server of a host has archived so far; undefined where it does not. */
async function keptCommand(config: Config, layout: Layout, node: string): Promise<string | undefined> {
  const { archiving: record } = await readArchive(layout);
  const { enabled } = config.backup.any_second;
  return commandOf({
    enabled,
    program: record?.program,
    record,
    place: archivePlaceOf(config, layout),
    node,
  });
}

/**
 * Ends the agent of one host and the replicas on this host; the server then reads its configuration where Patroni
 * writes it.
 */
async function handOver(
  { start, machine }: FoundInput,
  record: HostRecord,
  document: ClusterDocument,
  installation: Installation,
  progress: Progress,
): Promise<void> {
  const { layout, owner } = start;
  await requestJson(
    { socketPath: layout.agentSocket, method: "POST", path: "/leave", timeout: 2000 },
    z.unknown(),
  ).catch(() => {});
  await waitUntil(async () => (await lockHolder(layout.lockFile)) === undefined, {
    what: "the agent to leave",
    timeout: 30_000,
  });
  const own = document.config.nodes.find(({ name }) => name === record.node);
  if (!own) throw new Error("the document has no node of this host");
  const files = nodeLayoutOf(layout, own);
  const readable = readableBy(owner);
  const others = document.config.nodes.filter((node) => node !== own);
  const waits = document.config.endpoints.read.consistency === "read-your-writes";
  const running: typeof others = [];
  for (const replica of others)
    if (await findPostmaster(nodeLayoutOf(layout, replica).dataDir)) running.push(replica);
  // Commits wait for a replica as long as it serves reads.
  if (running.length) await pause(UNVOUCHED);
  // No commit waits for a replica that is about to end.
  const released = await writeFileIfChanged(files.synchronousFile, renderSynchronous(waits, []), readable);
  if (released)
    await newHandle(layout, own).use(
      async (session) => await reloadAndWait(session, files.dataDir, own.name),
    );
  for (const replica of running) {
    progress.step(replica.name, "stop: replicas run on other hosts from now on; its data stays");
    await stopServer(nodeLayoutOf(layout, replica).dataDir, replica.name, "fast");
  }
  const fileConfig = document.config;
  const input: OwnFilesInput = {
    layout,
    owner,
    machine,
    record,
    document,
    fileConfig,
    installation,
    refused: [],
    // What is written meanwhile goes into the repository as before.
    archiveCommand: await keptCommand(fileConfig, layout, own.name),
  };
  await writeOwnFiles(input);
  const ha = hostFiles(layout);
  const patronis = path.join(ha.postgresDir, "postgresql.conf");
  const lines = Object.entries({
    ...document.shared,
    port: String(document.port),
    listen_addresses: document.config.listen.join(","),
    cluster_name: `${document.cluster}/${own.name}`,
    hba_file: files.hbaFile,
    ident_file: files.identFile,
  }).map(([name, value]) => `${name} = ${quoteSetting(value)}`);
  await writeFileAtomic(
    patronis,
    [`include ${quoteSetting(settingsFileOf(files))}`, ...lines, ""].join("\n"),
    { owner },
  );
  await writeFileAtomic(
    files.configFile,
    `# Made by odoo-pg: Patroni runs this server.\ninclude ${quoteSetting(patronis)}\n`,
    readable,
  );
  await writeFileAtomic(ha.routing, JSON.stringify({ writes: record.name, reads: [] }));
  await reloadServer(files.dataDir);
}
