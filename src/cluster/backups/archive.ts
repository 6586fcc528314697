import { ARCHIVE_TIMEOUT_SECONDS } from "../../config/settings/archiving.ts";
import type { KeptAttachments } from "../../model/backups/kept-attachments.ts";
import type { Archiving, ArchiveStatus } from "../../model/backups/archive-status.ts";
import type { ServerFacts } from "../../model/observation.ts";
import { warning, type FoundWarning } from "../../model/warnings.ts";
import { odooPg } from "../../next-step.ts";
import type { NodeView } from "../view.ts";
import {
  archivedUpTo,
  isArchivingFailing,
  segmentsWaiting,
  windowOf,
  type Kept,
  type Window,
} from "./window.ts";

/** Finished segments that wait, above which archiving is late. */
const MANY = 32;

/** Milliseconds for which none is archived while some wait: each minute one is finished. */
const STUCK = 180_000;

export interface ArchiveView {
  /** Whether any second is to be restorable. */
  readonly enabled: boolean;
  readonly primary: Pick<NodeView, "name" | "facts"> | undefined;
  readonly status?: ArchiveStatus | undefined;
  readonly archiving?: Archiving | undefined;
}

/** Base backups and archived WAL, from which the window is made; undefined where any second is off. */
function keptOf({ enabled, primary, status, archiving }: ArchiveView): Kept | undefined {
  if (!enabled) return undefined;
  return {
    bases: status?.bases ?? [],
    archiving,
    end: archivedUpTo(primary?.facts, status, ARCHIVE_TIMEOUT_SECONDS),
  };
}

export function knownWindow(view: ArchiveView): Window | null {
  const kept = keptOf(view);
  return kept ? windowOf(kept) : null;
}

/** Warnings about archiving, by odoo-pg's command or the user's own, and about base backups. */
export function archiveWarnings(view: ArchiveView): FoundWarning[] {
  const { primary, enabled, archiving, status } = view;
  const found: FoundWarning[] = [];
  const facts = primary?.facts;
  if (enabled && archiving?.archiving === false) {
    found.push(
      warning("window_broken", {
        message: `WAL cannot be archived and is given up: nothing after ${archiving.since} can be brought back to the second.`,
        next: odooPg("up"),
      }),
    );
  } else if (primary && isArchivingFailing(facts)) {
    found.push(
      warning("archiver_failing", {
        node: primary.name,
        message: `${primary.name} cannot archive ${facts?.archiver?.last_failed_wal ?? "its WAL"}: it piles up on its disk.`,
        next: odooPg("logs", primary.name),
      }),
    );
  } else if (primary && isLate(facts)) {
    found.push(
      warning("archiver_late", {
        node: primary.name,
        message: `${primary.name} has ${segmentsWaiting(facts)} finished WAL segments waiting to be archived.`,
        next: odooPg("logs", primary.name),
      }),
    );
  }
  if (enabled && typeof status?.error === "string") {
    found.push(
      warning("base_backup_failed", {
        message: `The last base backup failed: ${status.error}`,
        next: odooPg("logs", "backup"),
      }),
    );
  }
  return found;
}

/** Whether more waits than a busy moment makes: many segments, or some while none is archived, as where a disk hangs. */
function isLate(facts: ServerFacts | undefined): boolean {
  const waiting = segmentsWaiting(facts);
  const { last_archived_at: last = null } = facts?.archiver ?? {};
  const isStuck = facts !== undefined && last !== null && facts.now - last > STUCK;
  return waiting > MANY || (waiting > 1 && isStuck);
}

/** Milliseconds after which attachments that were not taken are late: they are taken every five seconds. */
const ATTACHMENTS_LATE = 60_000;

/** What is wrong with keeping attachments for any second. */
export function attachmentWarnings(kept: KeptAttachments | null, now: number): FoundWarning[] {
  if (!kept) return [];
  const { whole_at, error, damaged } = kept;
  const late = whole_at !== null && now - Date.parse(whole_at) > ATTACHMENTS_LATE;
  const since =
    whole_at === null
      ? ""
      : ` What was attached since ${whole_at} may be missing in a second that is brought back.`;
  if (late || error !== null) {
    return [
      warning("attachments_late", {
        message: `Attachments are not copied into the pool${error === null ? " fast enough" : `: ${error.replace(/\.$/, "")}`}.${since}`,
        next: odooPg("logs", "agent"),
      }),
    ];
  }
  if (damaged.count === 0) return [];
  return [
    warning("attachments_damaged", {
      message: `${damaged.count} files of the filestore do not match their names, such as ${damaged.first ?? ""}: they cannot be kept.`,
      next: odooPg("doctor"),
    }),
  ];
}
