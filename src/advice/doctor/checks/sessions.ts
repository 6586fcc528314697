import { nextStep, odooPg } from "../../../next-step.ts";
import { psqlOn } from "../next-commands.ts";
import { showSeconds } from "../../../model/quantities.ts";
import { quoteSqlLiteral } from "../../../system/sql/sql.ts";
import { serversSeen, observedValues, type Evidence, type IdleSession, type Server } from "../evidence.ts";
import { finding, type FoundFinding } from "../findings.ts";

/** Seconds for which a transaction may be idle, and for which that of a scheduled action may. */
const IDLE = 300;
const SCHEDULED_ACTION = 3600;
/** Seconds for which a transaction may stay prepared: a program that prepares one finishes it at once. */
const PREPARED = 60;
/** A name with which the command that ends its transaction is printed: others are looked up. */
const PLAIN_NAME = /^[\x20-\x7e]{1,60}$/;

/** Transactions in which nothing happens. */
export function checkSessions(evidence: Evidence): FoundFinding[] {
  const crons = cronRelations(evidence);
  return serversSeen(evidence).flatMap((server) => [
    ...left(server),
    ...observedValues(server.sessions).flatMap(({ idle }) =>
      idle.flatMap((session) => {
        const cron = isCronCursor(session, crons);
        if (session.seconds <= (cron ? SCHEDULED_ACTION : IDLE)) return [];
        return [
          finding(cron ? "cron_in_transaction" : "idle_in_transaction", {
            node: server.name,
            database: session.database,
            message: cron
              ? `${server.name}: a scheduled action of Odoo in ${session.database} has been running for ${showSeconds(session.seconds)} (process ${session.pid} holds its row).`
              : `${server.name}: process ${session.pid} (${session.user}, ${session.application || "no name"}) in ${session.database} began a transaction ${showSeconds(session.seconds)} ago and is idle in it.`,
            evidence: {
              pid: session.pid,
              user: session.user,
              application: session.application,
              transaction_seconds: Math.round(session.seconds),
              cron_cursor: cron,
            },
            next: cron
              ? nextStep`see what it waits for: ${odooPg("sessions", "list", session.database)}`
              : psqlOn(server.name, [`SELECT pg_terminate_backend(${session.pid})`]),
          }),
        ];
      }),
    ),
  ]);
}

/** Transactions prepared and never finished. Only their program knows whether to commit them. */
function left(server: Server): FoundFinding[] {
  return observedValues(server.prepared)
    .flat()
    .filter(({ seconds }) => seconds > PREPARED)
    .map(({ name, database, owner, seconds }) =>
      finding("prepared_transaction_left", {
        node: server.name,
        database,
        message: `${server.name}: a transaction of ${owner} in ${database} was prepared ${showSeconds(seconds)} ago and not finished: it keeps its locks.`,
        evidence: { transaction: name, owner, prepared_seconds: Math.round(seconds) },
        next: nextStep`if its program is gone for good: ${psqlOn(
          server.name,
          [
            PLAIN_NAME.test(name)
              ? `ROLLBACK PREPARED ${quoteSqlLiteral(name)}`
              : "SELECT gid, owner, prepared FROM pg_prepared_xacts",
          ],
          database,
        )}`,
      }),
    );
}

/** ir_cron of each database, by the database's name. */
function cronRelations({ catalog }: Evidence): Map<string, number> {
  return new Map(
    observedValues(catalog).flatMap(({ each }) =>
      [...each].flatMap(([name, observed]) =>
        observedValues(observed)
          .flatMap(({ odoo }) => observedValues(odoo))
          .flatMap((odoo): [string, number][] =>
            odoo && odoo.cron_relation !== null ? [[name, odoo.cron_relation]] : [],
          ),
      ),
    ),
  );
}

/** Odoo takes a job by locking its row of ir_cron, and keeps that transaction open until the job is done (`ir_cron.py`). */
function isCronCursor(
  { names_cron, row_locks, database }: IdleSession,
  crons: ReadonlyMap<string, number>,
): boolean {
  const relation = crons.get(database);
  return names_cron || (relation !== undefined && row_locks.includes(relation));
}
