import type { Config } from "../schema.ts";
import type { Chosen } from "./table.ts";

/** Seconds after which a segment that is not full is archived all the same: the most that is lost with the host. */
export const ARCHIVE_TIMEOUT_SECONDS = 60;

/** Parameters of archiving, which are the user's own while `backup.any_second` is off. */
export const ARCHIVING = ["archive_mode", "archive_command", "archive_library", "archive_timeout"] as const;

/**
 * What becomes of WAL that is full. archive_mode costs a restart, archive_command none: so the first is on from the start,
 * with a command that does nothing, and turning on any second later needs no restart.
 * @param command takes it into the repository; undefined while nothing does
 */
export function archivingSettings(
  { backup, postgres: { parameters } }: Pick<Config, "backup" | "postgres">,
  platform: string,
  command: string | undefined,
): Record<string, Chosen> {
  if (!backup.any_second.enabled) {
    // A user who turns archiving on says where to: a command of ours that drops WAL would be an unnoticed gap.
    const own = parameters["archive_mode"] !== undefined || parameters["archive_library"] !== undefined;
    if (own) return {};
    // PostgreSQL refuses both together.
    const minimal = parameters["wal_level"]?.toLowerCase() === "minimal";
    return {
      ...(minimal ? { archive_mode: { value: "off", why: "wal_level is minimal" } } : {}),
      archive_command: { value: archivesNothing(platform), why: "nothing is archived" },
    };
  }
  const why = 'set by "backup.any_second"';
  return {
    archive_mode: { value: "on", why },
    archive_command: { value: command ?? archivesNothing(platform), why },
    archive_timeout: { value: `${ARCHIVE_TIMEOUT_SECONDS}s`, why },
  };
}

/** A program that says yes and does nothing. */
export function archivesNothing(platform: string): string {
  return platform === "darwin" ? "/usr/bin/true" : "/bin/true";
}
