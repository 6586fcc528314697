import { nextStep, odooPg } from "../../../next-step.ts";
import { unset } from "../next-commands.ts";
import { showSeconds } from "../../../model/quantities.ts";
import { numberOf, serversSeen, observedValues, type Evidence, type Server } from "../evidence.ts";
import { connectionsTold } from "../../../cluster/connections.ts";
import { pooledEndpoints } from "../../../config/pooling.ts";
import { PG_DUMP } from "../../../postgres/sql/observing/session-state.ts";
import { finding, type FoundFinding } from "../findings.ts";
import type { OdooOptions } from "../odoo-conf.ts";

/** Connections for monitoring, backups and people at psql. */
const OTHERS = 15;

/** Whether there are connections enough, now and when all of Odoo is busy. */
export function checkConnections(evidence: Evidence): FoundFinding[] {
  const servers = serversSeen(evidence);
  return [
    ...servers.flatMap((server) => used(server)),
    // Any node may be the primary, or the only one that is left: the one that takes least decides.
    ...least(servers, available).flatMap((server) => ceiling(evidence, server)),
    ...least(servers, idleTimeoutOf).flatMap((server) => idleTimeout(evidence, server)),
    ...sessionState(evidence),
  ];
}

/** The server with the lowest figure, of those where it is known. */
function least(servers: readonly Server[], figure: (server: Server) => number | undefined): Server[] {
  const known = servers.flatMap((server) => {
    const value = figure(server);
    return value === undefined ? [] : [{ server, value }];
  });
  return known
    .sort((a, b) => a.value - b.value)
    .slice(0, 1)
    .map(({ server }) => server);
}

/** Milliseconds; undefined where there is no timeout. */
function idleTimeoutOf(server: Server): number | undefined {
  return numberOf(server, "idle_in_transaction_session_timeout") || undefined;
}

/** Connections that roles without special rights may have; undefined where that was not seen. */
function available(server: Server): number | undefined {
  const most = numberOf(server, "max_connections");
  const kept = numberOf(server, "superuser_reserved_connections");
  if (most === undefined || kept === undefined) return undefined;
  return most - kept - (numberOf(server, "reserved_connections") ?? 0);
}

function used(server: Server): FoundFinding[] {
  const most = available(server);
  const [sessions] = observedValues(server.sessions);
  if (most === undefined || !sessions) return [];
  const told = connectionsTold(server.name, { used: sessions.used, most }, server.in_recovery);
  if (!told) return [];
  return [
    finding("connections_nearly_used", {
      node: server.name,
      ...told,
      evidence: { connections: sessions.used, available: most },
    }),
  ];
}

/** Processes of one Odoo that open connections, besides the one for long polling. */
function processesOf({ workers, max_cron_threads }: OdooOptions): number {
  // Without workers Odoo is one process, and its threads share a pool.
  return workers > 0 ? workers + max_cron_threads : 1;
}

/** Connections that one Odoo may open through one endpoint. */
function odooCeiling(options: OdooOptions, each = options.db_maxconn): number {
  const polling = options.workers > 0 ? (options.db_maxconn_gevent ?? each) : 0;
  return processesOf(options) * each + polling + 1;
}

function ceiling(evidence: Evidence, server: Server): FoundFinding[] {
  const [conf] = observedValues(evidence.odooConf);
  const most = available(server);
  if (!conf || most === undefined) return [];
  // Clients of a pooler are none of the server's.
  if (pooledEndpoints(evidence.config).length === 2) return [];
  const { options, file } = conf;
  const needed = odooCeiling(options) + OTHERS;
  if (needed <= most) return [];
  const fitting = Math.floor((most - OTHERS - 1) / (processesOf(options) + (options.workers > 0 ? 1 : 0)));
  const max = numberOf(server, "max_connections") ?? 0;
  return [
    finding("odoo_connections_exceed", {
      node: server.name,
      message: `Odoo may open ${odooCeiling(options)} connections to ${server.name}, which has ${most} for it and ${OTHERS} others.`,
      evidence: {
        workers: options.workers,
        max_cron_threads: options.max_cron_threads,
        db_maxconn: options.db_maxconn,
        needed,
        available: most,
        max_connections: max,
      },
      next:
        fitting >= 4
          ? nextStep`set db_maxconn = ${fitting} in ${file} (and db_maxconn_gevent no higher), restart Odoo, then check again: ${odooPg("doctor", "--odoo-conf", file)}`
          : nextStep`set postgres.parameters.max_connections to ${max + needed - most} or more, then: ${odooPg("up")}`,
    }),
  ];
}

/** Pooled clients that count on a session of their own. */
function sessionState({ catalog }: Evidence): FoundFinding[] {
  return observedValues(catalog).flatMap(({ sessionState: observed }) =>
    observedValues(observed)
      .flat()
      .map(({ database, what, calls }) =>
        finding("pooling_ends_session_state", {
          database,
          message:
            what === PG_DUMP
              ? `pg_dump has read ${database} as a client does (${calls} times): with pooling it writes views that psql cannot restore.`
              : `Clients of ${database} have used ${what} (${calls} times): with pooling it ends with their transaction.`,
          evidence: { what, calls },
          next: nextStep`use what docs/operations.md (“Pool transactions”) names instead, or turn pooling off (endpoints.write.pooling: none), then: ${odooPg("up")}`,
        }),
      ),
  );
}

function idleTimeout(evidence: Evidence, server: Server): FoundFinding[] {
  const [conf] = observedValues(evidence.odooConf);
  const milliseconds = idleTimeoutOf(server);
  if (!conf || milliseconds === undefined) return [];
  const { limit_time_real, limit_time_real_cron } = conf.options;
  const limit = limit_time_real_cron < 0 ? limit_time_real : limit_time_real_cron;
  // With 0 a scheduled action has no time limit at all: nothing to compare it with.
  if (limit === 0 || milliseconds / 1000 >= limit) return [];
  return [
    finding("idle_timeout_below_cron", {
      node: server.name,
      message: `${server.name} ends a transaction that is idle for ${showSeconds(milliseconds / 1000)}, and a scheduled action of Odoo may take ${showSeconds(limit)}.`,
      evidence: {
        idle_in_transaction_session_timeout_seconds: milliseconds / 1000,
        limit_time_real_cron_seconds: limit,
      },
      ...unset(server, "idle_in_transaction_session_timeout"),
    }),
  ];
}
