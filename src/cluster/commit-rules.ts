import type { ClusterView, OverruledCommits } from "./view.ts";
import { warning, type FoundWarning } from "../model/warnings.ts";
import { nextStep, odooPg } from "../next-step.ts";

/** As in `role "odoo" in database "shop"`, or the name of the file. */
export function whereSet({ file, role, database }: OverruledCommits): string {
  if (file !== null) return file.split("/").at(-1) ?? file;
  const of = [
    ...(role === null ? [] : [`role "${role}"`]),
    ...(database === null ? [] : [`database "${database}"`]),
  ];
  return of.join(" in ") || "ALTER ROLE ALL";
}

/** A name in SQL. */
function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** The statements that take it back. */
function undoOf({ setting, file, role, database }: OverruledCommits): string[] {
  if (file !== null) return [`ALTER SYSTEM RESET ${setting}`, "SELECT pg_reload_conf()"];
  const inDatabase = database === null ? "" : ` IN DATABASE ${identifier(database)}`;
  if (role === null && database !== null) return [`ALTER DATABASE ${identifier(database)} RESET ${setting}`];
  return [`ALTER ROLE ${role === null ? "ALL" : identifier(role)}${inDatabase} RESET ${setting}`];
}

/**
 * Minor versions from which on a server that starts, be it after a crash, has no commit pass before it knows which
 * standbys commits wait for. Source: release notes of May 2025, synchronous_standby_names at startup.
 */
const WAITS_FROM_START: Readonly<Record<number, number>> = { 13: 21, 14: 18, 15: 13, 16: 9, 17: 5 };

/** Whether a server of this version, such as 15.18, may let commits pass in its first moment without waiting. */
export function passesAtStart(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  const fixed = WAITS_FROM_START[major];
  return fixed !== undefined && minor < fixed;
}

/** What breaks read-your-writes although the pool is kept as it should be. */
export function commitWarnings({ input, primary }: ClusterView): FoundWarning[] {
  if (input.config.endpoints.read.consistency !== "read-your-writes") return [];
  const overruled = input.agent?.overrides ?? [];
  const version = primary?.facts?.version;
  return [
    ...overruled.map((one) =>
      warning("commits_do_not_wait", {
        message:
          one.file === null
            ? `Commits of ${whereSet(one)} do not wait for the replicas (${one.setting} = ${one.value}): reads may miss them.`
            : `${whereSet(one)} sets ${one.setting} = ${one.value || "''"}: commits do not wait for the replicas, so none serves reads.`,
        next: odooPg("psql", "--", ...undoOf(one).flatMap((statement) => ["-c", statement])),
      }),
    ),
    ...(version !== undefined && passesAtStart(version)
      ? [
          warning("postgres_update_needed", {
            message: `PostgreSQL ${version} may acknowledge a commit before the replicas have it, in the first moment after a restart or the crash of a session; later minor versions do not.`,
            next: nextStep`update PostgreSQL, then restart: ${odooPg("down")} && ${odooPg("up")}`,
          }),
        ]
      : []),
  ];
}
