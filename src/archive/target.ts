import type { BaseBackup } from "../model/backups/archive-status.ts";
import { parseLsn } from "../model/lsn.ts";
import { basesFor, basesToEnd, type Kept } from "../cluster/backups/window.ts";

/** Up to where a cluster is recovered. */
export type Target =
  /** To the last commit that is not later. */
  | { readonly kind: "time"; readonly at: number; readonly text: string }
  /** To just before a transaction's commit. */
  | { readonly kind: "xid"; readonly xid: string }
  | { readonly kind: "lsn"; readonly lsn: string };

/** As pgBackRest takes it. @param target undefined: all that there is on the timeline */
export function targetArguments(target: Target | undefined): string[] {
  return target ? [...upTo(target), "--target-action=promote"] : ["--type=default"];
}

function upTo(target: Target): string[] {
  if (target.kind === "time") return ["--type=time", `--target=${target.text}`];
  if (target.kind === "lsn") return ["--type=lsn", `--target=${target.lsn}`];
  return ["--type=xid", `--target=${target.xid}`, "--target-exclusive"];
}

/** Base backups from which a target can be reached, the likeliest first; none where it lies outside the window. */
export function basesToReach(target: Target, kept: Kept): BaseBackup[] {
  if (target.kind === "time") return basesFor(kept, target.at);
  // Only the WAL tells which of them the transaction is younger than.
  if (target.kind === "xid") return basesToEnd(kept);
  const lsn = parseLsn(target.lsn);
  return basesToEnd(kept).filter(({ stop_lsn }) => parseLsn(stop_lsn) < lsn);
}

/** The target in words for a person. */
export function targetWords(target: Target): string {
  if (target.kind === "time") return target.text;
  return target.kind === "lsn" ? `WAL position ${target.lsn}` : `before transaction ${target.xid}`;
}
