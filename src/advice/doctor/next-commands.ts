import path from "node:path";
import { nextStep, odooPg, type Command } from "../../next-step.ts";
import { conninfo } from "../../postgres/sql/quoting.ts";
import { settingOf, type Server } from "./evidence.ts";
import type { Remedy } from "./findings.ts";

/** Statements as superuser on a node, in a database. */
export function psqlOn(node: string, statements: readonly string[], database?: string): Command {
  return odooPg(
    "psql",
    node,
    "--",
    ...(database === undefined ? [] : ["-d", databaseWord(database)]),
    ...statements.flatMap((statement) => ["-c", statement]),
  );
}

/** Statements that `doctor --fix` runs. On a server that odoo-pg does not run they are for its operator. */
export function fixOn(node: string, statements: readonly string[], database?: string): Remedy {
  if (node === "write") return { next: psqlOn(node, statements, database) };
  return { fix: { node, database: database ?? null, statements: [...statements] } };
}

/** The command that resets a setting to odoo-pg's or PostgreSQL's choice, wherever it was set. */
export function unset(server: Server, name: string): Remedy {
  const file = server.settings.seen ? server.settings.value.get(name)?.file : undefined;
  if (file === undefined || file === null || path.basename(file) === "postgresql.auto.conf")
    return fixOn(server.name, [`ALTER SYSTEM RESET ${name}`, "SELECT pg_reload_conf()"]);
  return {
    next: nextStep`take ${name} out of postgres.parameters, or choose a better value, then: ${odooPg("up")}`,
  };
}

/** psql reads a name that holds `=`, or looks like an address, as a connection string (manual of psql, dbname). */
function databaseWord(database: string): string {
  return /=|^postgres(?:ql)?:\/\//.test(database) ? conninfo({ dbname: database }) : database;
}

/** A setting's value as a figure: never blank. */
export function shownSetting(server: Server, name: string): string {
  return settingOf(server, name) ?? "?";
}
