import path from "node:path";
import { shellWord } from "../../model/shell-word.ts";
import { conninfo } from "../../postgres/sql/quoting.ts";
import { settingOf, type Server } from "./evidence.ts";

/** Writes the commands that somebody types next. */
export interface NextCommands {
  /** `odoo-pg COMMAND`, for this cluster. */
  readonly run: (command: string) => string;
  /** Statements as superuser on a node, in a database. */
  readonly psql: (node: string, statements: readonly string[], database?: string) => string;
  /** What brings a setting back to what odoo-pg or PostgreSQL chooses, wherever it was set. */
  readonly unset: (server: Server, name: string) => string;
}

/** @param suggest gives `odoo-pg COMMAND` with the configuration's file where that is needed */
export function nextCommands(suggest: (command: string) => string): NextCommands {
  const psql: NextCommands["psql"] = (node, statements, database) =>
    [
      suggest(`psql ${node}`),
      "--",
      ...(database === undefined ? [] : ["-d", shellWord(databaseWord(database))]),
      ...statements.flatMap((statement) => ["-c", shellWord(statement)]),
    ].join(" ");
  return {
    run: suggest,
    psql,
    unset(server, name) {
      const file = server.settings.seen ? server.settings.value.get(name)?.file : undefined;
      if (file === undefined || file === null || path.basename(file) === "postgresql.auto.conf")
        return psql(server.name, [`ALTER SYSTEM RESET ${name}`, "SELECT pg_reload_conf()"]);
      return `take ${name} out of postgres.parameters, or choose a better value, then: ${suggest("up")}`;
    },
  };
}

/** psql reads a name that holds `=`, or looks like an address, as a connection string (manual of psql, dbname). */
function databaseWord(database: string): string {
  return /=|^postgres(?:ql)?:\/\//.test(database) ? conninfo({ dbname: database }) : database;
}

/** What a figure shows of a setting: never blank. */
export function shownSetting(server: Server, name: string): string {
  return settingOf(server, name) ?? "?";
}
