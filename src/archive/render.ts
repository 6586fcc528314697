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

/** What a node's archive_command is: a command line for a shell, in which PostgreSQL replaces %p by a file's path. */
export function archiveCommand(program: string, place: ArchivePlace, node: Pick<NodeConfig, "name">): string {
  const words = [program, `--config=${confOf(place, node)}`, `--stanza=${place.stanza}`, "archive-push"];
  return `${words.map((word) => shellWord(word).replaceAll("%", "%%")).join(" ")} "%p"`;
}
