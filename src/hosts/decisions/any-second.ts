import { windowWords, type Window } from "../../cluster/backups/window.ts";
import { warning, type FoundWarning } from "../../model/warnings.ts";
import { showBytes } from "../../model/quantities.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import { printableLine } from "../../printable.ts";
import type { HostsStatus } from "../documents/report.ts";
import { isHeard } from "./heard.ts";

/** Milliseconds that a copy may be behind the repository of the primary's host. */
const LATE = 300_000;

type Seen = Pick<HostsStatus, "primary" | "hosts">;
type SeenHost = HostsStatus["hosts"][number];

/** The window, as the primary's host says it; undefined where any second is off there, or nobody says. Pure. */
export function windowOfHosts({ primary, hosts }: Seen): Window | undefined {
  return hosts.find(({ name }) => name === primary)?.report?.any_second?.window ?? undefined;
}

/** Hosts that keep a copy of the repository, or should. */
function copiesIn({ primary, hosts }: Seen): SeenHost[] {
  return hosts.filter(({ name, role }) => role === "database" && name !== primary);
}

/** Up to when each host has a copy, in ISO 8601; null where it has none. Pure. */
export function hostCopies(status: Seen): { readonly name: string; readonly copied_at: string | null }[] {
  return copiesIn(status).map(({ name, report }) => ({
    name,
    copied_at: report?.any_second?.copy?.up_to ?? null,
  }));
}

/** Seconds since that moment. @param now milliseconds since the epoch */
export function copyAges(
  status: Seen,
  now: number,
): { readonly name: string; readonly age: number | null }[] {
  return hostCopies(status).map(({ name, copied_at: at }) => ({
    name,
    age: at === null ? null : Math.max(0, Math.round((now - Date.parse(at)) / 1000)),
  }));
}

/**
 * The window and its copies, in a line; undefined where the primary's host has none. What hosts say of themselves is the
 * word of others. Pure.
 * @param now milliseconds since the epoch
 */
export function sayAnySecond(status: Seen, now: number): string | undefined {
  const window = windowOfHosts(status);
  if (!window) return undefined;
  const copies = copiesIn(status).map(({ name, report }) => {
    const copy = report?.any_second?.copy;
    if (!copy) return `${name} (none)`;
    const left = copy.bytes_left > 0 ? `, ${showBytes(copy.bytes_left)} left` : "";
    return copy.up_to === null
      ? `${name} (none yet${left})`
      : `${name} (to ${copy.up_to.slice(0, 19).replace("T", " ")}${left})`;
  });
  return printableLine(`${windowWords(window, now)} · copies: ${copies.join(", ") || "none"}`);
}

/** What is wrong with any second on any of the hosts, a line each: whichever host is asked. What hosts say is the word of others. Pure. */
export function sayTroubles(status: Seen): string[] {
  const own = status.hosts.find(({ name }) => name === status.primary)?.report?.any_second?.problem ?? null;
  return [
    ...archivingWarnings(status).map(({ message }) => message),
    ...(own === null ? [] : [printableLine(own)]),
    ...copyWarnings(status).map(({ message }) => message),
  ];
}

/**
 * What keeps the primary's host from taking WAL into a repository; undefined where it does, or is not to. Where others are to
 * keep a copy, it is to: what its file or its odoo-pg leaves out would be a gap that nobody hears of. Pure.
 */
export function archivingWarnings(status: Seen): FoundWarning[] {
  const { primary, hosts } = status;
  const report = hosts.find(({ name }) => name === primary)?.report;
  const said = report?.any_second;
  if (report && !said) return offWarnings(status);
  const problem = said?.window ? undefined : said?.copy?.problem;
  if (typeof problem !== "string") return [];
  return [
    warning("window_broken", {
      message: printableLine(
        `WAL is not taken into the repository of ${primary ?? ""}, now the primary's host: ${problem}`,
      ),
      next: odooPg("logs", "agent"),
    }),
  ];
}

/** Where the primary's host says nothing of any second, and others do. */
function offWarnings(status: Seen): FoundWarning[] {
  const primary = status.primary ?? "";
  const copies = copiesIn(status).filter(({ report }) => report?.any_second);
  const next = nextStep`Write "any_second: { enabled: true }" below "backup" in the file of ${primary} as in the others', or update its odoo-pg; then there: ${odooPg("up")}`;
  const why = `backup.any_second is off in the file of ${primary}, now the primary's host, or its odoo-pg is of an earlier version`;
  const begun = copies.filter(({ report }) => (report?.any_second?.copy?.up_to ?? null) !== null);
  // Where it is being turned on, one host after another, nothing is broken yet.
  if (!begun.length)
    return copies.map(({ name }) =>
      warning("window_copy_late", {
        node: name,
        message: printableLine(`${name} is to keep a copy of a repository, and there is none: ${why}.`),
        next,
      }),
    );
  return [
    warning("window_broken", {
      message: printableLine(
        `WAL is not archived any more, and ${begun.map(({ name }) => name).join(" and ")} get nothing new: ${why}.`,
      ),
      next,
    }),
  ];
}

/** Copies that are late or cannot be whole, on hosts that answer: of one that does not, that is told. Pure. */
export function copyWarnings(status: Seen): FoundWarning[] {
  const window = windowOfHosts(status);
  if (!window) return [];
  return copiesIn(status)
    .filter(isHeard)
    .flatMap(({ name, report }) => {
      const why = whatIsWrong(name, report?.any_second, window);
      if (why === undefined) return [];
      return warning("window_copy_late", {
        node: name,
        message: printableLine(why),
        next: nextStep`On ${name}: ${odooPg("logs", "agent")}`,
      });
    });
}

function whatIsWrong(
  name: string,
  said: NonNullable<SeenHost["report"]>["any_second"] | undefined,
  { to }: Window,
): string | undefined {
  const late = (why: string): string => `${name} has no copy of the newest seconds: ${why}.`;
  if (!said) return late("backup.any_second is off in its own file, or its odoo-pg is of an earlier version");
  const { copy } = said;
  if (!copy) return late("it has not begun, or has no pgBackRest");
  const problem = copy.problem?.replace(/\.$/, "");
  const behind = to === null || copy.up_to === null ? Infinity : Date.parse(to) - Date.parse(copy.up_to);
  // WAL may be new where base backups find no room: a copy that stays so ends with the base backups that it has.
  if (to === null || behind <= LATE)
    return problem !== undefined && copy.lasts === true
      ? `The copy of the repository on ${name} cannot be whole: ${problem}.`
      : undefined;
  if (problem !== undefined) return late(problem);
  return late(
    copy.bytes_left > 0 ? `${showBytes(copy.bytes_left)} are still to be fetched` : "it is not whole yet",
  );
}
