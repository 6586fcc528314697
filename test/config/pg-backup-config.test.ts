import { describe, expect, test } from "vitest";
import { resolveConfig } from "../../src/config/resolve.ts";
import { readPgBackupConfig } from "../../src/config/sources/pg-backup-config.ts";

const ORIGINAL = `
##############################
## POSTGRESQL BACKUP CONFIG ##
##############################
set -e
# Optional system user to run backups as.
BACKUP_USER=backup
HOSTNAME=
USERNAME=
BACKUP_DIR=/srv/backups/ # with a slash
BACKUP_ONLY_FILTER="my prod"
SCHEMA_ONLY_LIST=""
ENABLE_CUSTOM_BACKUPS=yes
export ENABLE_PLAIN_BACKUPS='yes'
DAY_OF_WEEK_TO_KEEP=7
DAYS_TO_KEEP=3
DAYS_TO_KEEP=4
WEEKS_TO_KEEP=5
MONTHS_TO_KEEP=0
`;

function resolve(text: string | undefined, env: Record<string, string> = {}, yaml = "{}") {
  return resolveConfig({
    file: { path: "odoo-pg.yaml", text: yaml },
    ...(text === undefined ? {} : { pgBackupConfig: { path: "/config/pg_backup.config", text } }),
    env,
    defaults: { isRoot: false, home: "/home/me", platform: "linux" },
  });
}

describe("pg_backup.config", () => {
  test("sets what the image's backup script read from it", () => {
    expect(resolve(ORIGINAL).config.backup).toMatchObject({
      user: "backup",
      dir: "/srv/backups",
      only_filter: "my prod",
      custom: true,
      plain: true,
      day_of_week_to_keep: 7,
      days_to_keep: 4,
      weeks_to_keep: 5,
      months_to_keep: 0,
    });
  });

  test("goes over the file and under the environment, and each value says where it comes from", () => {
    const { config, origins } = resolve(
      "BACKUP_ONLY_FILTER=b\nDAYS_TO_KEEP=9\n",
      { BACKUP_ONLY_FILTER: "c", BACKUPS: "false" },
      "backup: { only_filter: a, days_to_keep: 8, weeks_to_keep: 7 }",
    );
    expect(config.backup).toMatchObject({
      enabled: false,
      only_filter: "c",
      days_to_keep: 9,
      weeks_to_keep: 7,
    });
    expect(origins.get("backup.enabled")).toEqual({ kind: "environment", name: "BACKUPS" });
    expect(origins.get("backup.only_filter")).toEqual({ kind: "environment", name: "BACKUP_ONLY_FILTER" });
    expect(origins.get("backup.days_to_keep")).toEqual({
      kind: "file",
      path: "/config/pg_backup.config",
      line: 2,
    });
    expect(origins.get("backup.weeks_to_keep")).toMatchObject({ kind: "file", path: "odoo-pg.yaml" });
  });

  test.each([
    "BACKUP_DIR=$HOME/b",
    "BACKUP_DIR=`pwd`",
    'BACKUP_DIR="$(pwd)"',
    "BACKUP_DIR=/a b",
    "BACKUP_DIR=/a; rm x",
  ])("%s is refused: nothing of it is executed", (line) => {
    expect(() => resolve(line)).toThrow(/pg_backup\.config:1: BACKUP_DIR .* never executed/);
  });

  test("a value of the wrong kind is named with file and line", () => {
    expect(() => resolve("\nDAYS_TO_KEEP=many\n")).toThrow(
      /\/config\/pg_backup\.config:2: backup\.days_to_keep: .*a number/,
    );
    expect(() => resolve("ENABLE_PLAIN_BACKUPS=perhaps")).toThrow(/pg_backup\.config:1: backup\.plain/);
  });

  test("false is no filter, and root nobody else than runs it, as for the script", () => {
    const text = "BACKUP_ONLY_FILTER=prod\nBACKUP_ONLY_FILTER=false\nBACKUP_USER=root";
    expect(readPgBackupConfig({ path: "x", text }).settings).toEqual([]);
  });

  test("an empty value counts as not set", () => {
    expect(readPgBackupConfig({ path: "x", text: "BACKUP_DIR=\nBACKUP_USER=''" })).toEqual({
      settings: [],
      problems: [],
    });
  });
});
