import type { Layout } from "../config/layout.ts";
import { isAnyPooled } from "../config/pooling.ts";
import type { ApplyRequest } from "../cluster/documents/agent-report.ts";
import { findHaproxy } from "../endpoints/haproxy.ts";
import { findPgbouncer } from "../endpoints/pgbouncer/program.ts";
import type { Failover } from "../failover/failover.ts";
import { ManualFailover } from "../failover/manual/manual-failover.ts";
import { ForeignPrimary } from "../members/foreign-primary.ts";
import { Holds } from "../members/holds.ts";
import { keepSettings, loadState, syncHandles, type Runtime } from "../members/runtime.ts";
import { findInstallation } from "../postgres/installation.ts";
import type { Clients } from "../services/clients.ts";
import { Endpoints } from "../services/endpoints.ts";
import { Poolers } from "../services/poolers.ts";
import { Servers } from "../services/postgres.ts";
import { ReadPool } from "../services/read-pool.ts";
import { WaitingAtEndpoints } from "../services/waiting-clients.ts";
import { ensurePasswords, readPassword } from "../store/secrets.ts";
import { followsUpstream, readState, writeState } from "../store/state.ts";
import type { Owner } from "../system/files/files.ts";
import type { ProgramSearch } from "../system/install.ts";
import type { Log } from "../system/log.ts";
import type { Machine } from "../system/machine.ts";
import { requireFittingRecord } from "./up-and-down/fitting-record.ts";

/** The cluster that an agent keeps, and what it keeps it with: all of it is there from the first configuration on. */
export interface KeptCluster {
  readonly runtime: Runtime;
  readonly servers: Servers;
  readonly endpoints: Endpoints;
  readonly poolers: Poolers;
  /** Of the endpoints, pooled or not. */
  readonly clients: Clients;
  readonly pool: ReadPool;
  readonly failover: Failover;
}

interface Place extends ProgramSearch {
  readonly layout: Layout;
  readonly owner: Owner | undefined;
  readonly machine: Machine;
  readonly log: Log;
  /** Has the agent's loop begin its next turn at once. */
  readonly wake: () => void;
  /** Sets the archive_command of the nodes. */
  readonly loadArchive: (runtime: Runtime) => Promise<void>;
}

/**
 * Finds programs and passwords for a configuration, and makes the runtime that operations share, or updates it.
 * @throws OdooPgError what keeps the configuration from being taken up
 */
export async function takeUp(
  { config, passwords: given, config_file }: ApplyRequest,
  before: KeptCluster | undefined,
  place: Place,
): Promise<KeptCluster> {
  const { layout, owner, machine, log } = place;
  const installation = await findInstallation(config.postgres, place);
  const haproxy = await findHaproxy(config.haproxy.program, place);
  const pgbouncer = isAnyPooled(config) ? await findPgbouncer(config.pgbouncer.program, place) : undefined;
  const state = await loadState(layout, config);
  requireFittingRecord(state, config);
  // Written before anything else is made: by it the directory is recognised, also by `destroy`.
  if (!(await readState(layout))) await writeState(layout, state);
  const follows = followsUpstream(state) ? config.upstream : undefined;
  // Once stored, replicas connect with it: a wrong one would show only at their next connection, days later.
  if (follows && given.upstream !== undefined && given.upstream !== (await readPassword(layout, "upstream")))
    await new ForeignPrimary(follows, given.upstream).assertLetsIn();
  const passwords = await ensurePasswords(layout, given, owner, follows?.user);
  const runtime: Runtime = before?.runtime ?? {
    layout,
    owner,
    machine,
    log,
    config,
    configFile: config_file ?? undefined,
    installation,
    passwords,
    state,
    kept: {},
    nodes: new Map(),
    upstream: undefined,
    marks: [],
    held: new Holds(),
    startable: undefined,
    wake: place.wake,
    interruption: new AbortController(),
  };
  runtime.config = config;
  runtime.configFile = config_file ?? undefined;
  runtime.installation = installation;
  runtime.passwords = passwords;
  await keepSettings(runtime);
  await place.loadArchive(runtime);
  runtime.upstream = follows
    ? new ForeignPrimary(follows, (await readPassword(layout, "upstream")) ?? "")
    : undefined;
  if (!before) await syncHandles(runtime);
  const cluster = before ?? firstKept(runtime);
  cluster.endpoints.program = haproxy;
  cluster.poolers.program = pgbouncer;
  return cluster;
}

function firstKept(runtime: Runtime): KeptCluster {
  const endpoints = new Endpoints(runtime.layout, runtime.owner, runtime.log);
  const poolers = new Poolers(runtime);
  const pool = new ReadPool(runtime, async (routing) => await endpoints.route(routing));
  const clients = new WaitingAtEndpoints(endpoints, poolers, runtime.log);
  const failover = new ManualFailover(runtime, pool, clients);
  return { runtime, servers: new Servers(runtime), endpoints, poolers, clients, pool, failover };
}
