import { openRepository, proveRepository } from "../../archive/base-backup.ts";
import type { Target } from "../../archive/target.ts";
import type { BackupSource } from "../../backup/source.ts";
import { momentByChance } from "../../cluster/backups/window.ts";
import { windowDays } from "../../config/sections/backup.ts";
import { OdooPgError, toOdooPgError } from "../../errors.ts";
import { odooPg } from "../../next-step.ts";
import { oneLine, printableLine } from "../../printable.ts";
import type { Progress } from "../../progress.ts";
import type { ProvenDatabase } from "../../restore/at-moment.ts";
import { changeSecondDrill } from "../../store/second-drill.ts";
import { monotonic, now } from "../../system/clock.ts";
import { serverOwner, type Context } from "../context.ts";
import { proveAt } from "./restore-moment.ts";
import { lookAtWindow } from "./window.ts";

/** The result of a drill. */
export interface SecondProof {
  /** Which second; null where a transaction or a position was named. ISO 8601. */
  readonly at: string | null;
  readonly base: string;
  readonly seconds: number;
  readonly ok: boolean;
  readonly databases: readonly ProvenDatabase[];
  /** Of the repository, one line each. */
  readonly damaged: readonly string[];
}

/**
 * Proves that a second can be brought back: reads all of the repository, recovers the second, and reads all of its
 * databases. Keeps the record of it for status and alarms.
 * @param named which moment; else a random second of the window
 * @throws OdooPgError what keeps it from being brought back; locked, outside_window
 */
export async function drillSecond(
  context: Context,
  source: BackupSource,
  named: Target | undefined,
  progress: Progress,
): Promise<SecondProof> {
  const { config, layout } = context;
  const target = named ?? (await secondByChance(context));
  const begun_at = iso();
  await changeSecondDrill(layout.stateDir, { begun_at });
  const second = target.kind === "time" ? new Date(target.at).toISOString() : null;
  const begun = monotonic();
  try {
    const owner = await serverOwner(context);
    const repository = await openRepository(config, layout, owner, source.signal);
    progress.step(null, "read the repository");
    const damaged = await proveRepository(repository);
    // Reported at once: the damage may keep the moment from coming back.
    for (const line of damaged) progress.note(`the repository is damaged: ${printableLine(line)}`);
    const { databases, base } = await proveAt(context, source, target, progress);
    const seconds = Math.round((monotonic() - begun) / 100) / 10;
    const proof = { at: second, base, seconds, databases, damaged };
    const error = whyNotProven(proof);
    const at = iso();
    const relations = databases.some((one) => one.pages === null)
      ? null
      : databases.reduce((sum, { pages }) => sum + (pages?.relations ?? 0), 0);
    const proven = { at, second, base, seconds, databases: databases.length, relations };
    await changeSecondDrill(
      layout.stateDir,
      error === undefined ? { begun_at, proven, failed: null } : { begun_at, failed: { at, second, error } },
    );
    return { ...proof, ok: error === undefined };
  } catch (thrown) {
    const { code, message } = toOdooPgError(thrown);
    const failed = { at: iso(), second, error: oneLine(message) };
    // A record that cannot be written must not hide why.
    if (!source.signal?.aborted && saysSomething(code, named))
      await changeSecondDrill(layout.stateDir, { begun_at, failed }).catch(() => {});
    throw thrown;
  }
}

/**
 * Whether an error proves that the repository cannot restore the second: not that another process is at work, that the
 * primary or room is missing, or that the named second is outside the window.
 */
function saysSomething(code: OdooPgError["code"], named: Target | undefined): boolean {
  if (code === "outside_window") return named === undefined;
  return !["locked", "interrupted", "disk_full", "not_running", "primary_unreachable", "timed_out"].includes(
    code,
  );
}

/** A line: the first damage that a drill found, and where else there is some; undefined where there is none. Pure. */
export function whyNotProven({
  databases,
  damaged,
}: Pick<SecondProof, "databases" | "damaged">): string | undefined {
  const wrong = databases.flatMap((one) => {
    const why = wrongIn(one);
    return why === undefined ? [] : [{ database: one.database, why }];
  });
  const [line] = damaged;
  const [first, ...others] =
    line === undefined ? wrong : [{ why: `the repository is damaged: ${line}` }, ...wrong];
  if (!first) return undefined;
  const names = others.flatMap((other) => ("database" in other ? [other.database] : []));
  const also = names.length ? `; not whole either: ${names.join(", ")}` : "";
  return printableLine(`${first.why}${also}`);
}

function wrongIn({ database, missing, pages, failure }: ProvenDatabase): string | undefined {
  if (failure !== null) return `${database} cannot be read: ${failure.replace(/\.$/, "")}`;
  if (missing.count > 0)
    return `${missing.count} attachments of ${database} are nowhere, such as ${missing.first[0] ?? "?"}`;
  if (pages && pages.damaged.count > 0)
    return `${pages.damaged.count} tables or indexes of ${database} are damaged: ${pages.damaged.first[0] ?? "?"}`;
  return undefined;
}

const DAY = 86_400_000;

/** @throws OdooPgError outside_window while there is none */
async function secondByChance(context: Context): Promise<Target> {
  const days = windowDays(context.config.backup.any_second.window);
  const at = momentByChance(await lookAtWindow(context), days * DAY, Math.random());
  if (at === undefined) {
    throw new OdooPgError("outside_window", {
      message: "No second can be brought back yet.",
      safe: "Nothing was changed.",
      next: odooPg("backup", "window"),
    });
  }
  const text = `${new Date(at).toISOString().replace("T", " ").replace("Z", "")}+00`;
  return { kind: "time", at, text };
}

function iso(): string {
  return new Date(now()).toISOString();
}
