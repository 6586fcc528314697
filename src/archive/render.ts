import { windowDays } from "../config/sections/backup.ts";
import { nodeLayoutOf, type Layout, type NodeConfig } from "../config/layout.ts";
import type { Config } from "../config/schema.ts";
import { shellWord } from "../shell-word.ts";
import { confOf, type ArchivePlace } from "./place.ts";

/**
 * The configuration of pgBackRest for one node. Nothing runs beside archive_command, so PostgreSQL sees a failure at
 * once; only odoo-pg removes what has expired.
 */
export function renderPgbackrest(
  config: Config,
  layout: Layout,
  place: ArchivePlace,
  node: NodeConfig,
): string {
  const { dataDir } = nodeLayoutOf(layout, node);
  return [
    `# Made by odoo-pg for node ${node.name}. Changes here are lost.`,
    "[global]",
    `repo1-path=${place.repository}`,
    "repo1-bundle=y",
    "repo1-retention-full-type=time",
    // pgBackRest keeps the one full backup besides that is older than that: the window's first second needs it.
    `repo1-retention-full=${windowDays(config.backup.any_second.window)}`,
    "expire-auto=n",
    "archive-async=n",
    "compress-type=zst",
    "start-fast=y",
    `lock-path=${place.locks}`,
    "log-level-file=off",
    "log-level-console=off",
    "log-level-stderr=warn",
    "",
    // Each segment is compressed while transactions wait for the same processors.
    "[global:archive-push]",
    "compress-level=1",
    "",
    `[${place.stanza}]`,
    `pg1-path=${dataDir}`,
    `pg1-port=${node.port}`,
    `pg1-socket-path=${layout.runDir}`,
    "pg1-user=postgres",
    "",
  ].join("\n");
}

/** Seconds for which a server waits for one segment to be taken. */
const PUSH_TIMEOUT = 10;

/** Seconds for which it waits for an earlier segment first, where that goes on beside. */
const EARLIER_TIMEOUT = 1;

/** Exit status of what waited for an earlier one in vain: pgBackRest has none below 25. */
const STILL_WAITS = 3;

/**
 * Runs "$2…" and waits only so long for its end: a server ends only once its archiver does, and gives no WAL up before that. A
 * program that a disk holds up cannot be ended. So it goes on beside, and holds the file "$1" locked, which keeps the next ones
 * from beginning. Where the system has no flock(1), it is waited for.
 */
const LIMITED = [
  'command -v timeout >/dev/null && command -v flock >/dev/null || { shift; exec "$@"; }',
  `exec timeout --foreground ${PUSH_TIMEOUT} sh -c '${[
    `late() { echo "the repository does not answer" >&2; exit ${STILL_WAITS}; }`,
    "trap late TERM",
    "cd /",
    '"$@" & wait "$!"',
    "status=$?",
    `[ "$status" = ${STILL_WAITS} ] && late`,
    'exit "$status"',
  ].join("; ")}' sh flock -w ${EARLIER_TIMEOUT} -E ${STILL_WAITS} "$@"`,
].join("; ");

/** What a node's archive_command is: a command line for a shell, in which PostgreSQL replaces %p by a file's path. */
export function archiveCommand(
  program: string,
  place: Pick<ArchivePlace, "dir" | "stanza">,
  node: Pick<NodeConfig, "name">,
): string {
  const words = [confOf(place, node), program, `--config=${confOf(place, node)}`, `--stanza=${place.stanza}`];
  return `set -- ${words.map(inCommand).join(" ")} archive-push "$PWD/%p"; ${LIMITED}`;
}

/** What tells the archive_command that takes a node's WAL into the repository from any other. */
export function markOfCommand(place: Pick<ArchivePlace, "dir">, node: Pick<NodeConfig, "name">): string {
  return inCommand(`--config=${confOf(place, node)}`);
}

/** A word as it stands in archive_command. */
function inCommand(word: string): string {
  return shellWord(word).replaceAll("%", "%%");
}
