import { OdooPgError, type ExitStatus } from "../../errors.ts";
import type { Target } from "../../archive/target.ts";
import { odooPg } from "../../next-step.ts";
import { printableLine } from "../../printable.ts";
import { monotonic } from "../../system/clock.ts";
import { openRepository, proveRepository } from "../../archive/base-backup.ts";
import { serverOwner, type Context } from "../context.ts";
import { onPrimary } from "../source.ts";
import { proveAt, targetOf } from "./restore-moment.ts";
import { lookAtWindow } from "./window.ts";

/** Proves that a second of the window can be brought back: it is recovered, and all of its databases are read. */
export async function verifyAnySecond(
  context: Context,
  ids: readonly string[],
  flags: { readonly at: string | undefined; readonly json: boolean },
): Promise<ExitStatus> {
  if (ids.length) {
    throw new OdooPgError("usage", {
      message: "--any-second takes no backups: it proves base backups and WAL.",
      safe: "Nothing was changed.",
      next: odooPg("backup", "verify", "--any-second"),
    });
  }
  const { output } = context;
  const target =
    targetOf({ at: flags.at, beforeXid: undefined, lsn: undefined }) ?? (await secondByChance(context));
  const begun = monotonic();
  const { config, layout } = context;
  const { databases, base, damaged } = await onPrimary(context, async (source, progress) => {
    const owner = await serverOwner(context);
    const repository = await openRepository(config, layout, owner, source.signal);
    progress.step(null, "read the repository");
    const lines = await proveRepository(repository);
    // Told at once: what is damaged may keep the moment from coming back.
    for (const line of lines) progress.note(`the repository is damaged: ${printableLine(line)}`);
    return { ...(await proveAt(context, source, target, progress)), damaged: lines };
  });
  const seconds = Math.round((monotonic() - begun) / 100) / 10;
  const at = target.kind === "time" ? new Date(target.at).toISOString() : null;
  const ok = !damaged.length && databases.every(({ missing }) => missing.count === 0);
  if (flags.json) {
    output.out(JSON.stringify({ version: 1, at, base, seconds, ok, databases, damaged }, undefined, 2));
    return ok ? 0 : 1;
  }
  for (const { database, tables, rows, attachments, missing } of databases) {
    const lack = missing.count === 0 ? "none missing" : `${missing.count} MISSING`;
    output.out(
      printableLine(`${database}: ${tables} tables, ${rows} rows, ${attachments} attachments, ${lack}`),
    );
    for (const name of missing.first.slice(0, 20)) output.err(printableLine(`  - ${name}`));
  }
  output.out(
    `${at ?? ""} can be brought back: ${databases.length} databases, from base backup ${base} (${seconds} s).`,
  );
  return ok ? 0 : 1;
}

/** @throws OdooPgError outside_window while there is none */
async function secondByChance(context: Context): Promise<Target> {
  const { from, to, gaps } = await lookAtWindow(context);
  if (from === null || to === null) {
    throw new OdooPgError("outside_window", {
      message: "No second can be brought back yet.",
      safe: "Nothing was changed.",
      next: odooPg("backup", "window"),
    });
  }
  const [first, last] = [Date.parse(from), Date.parse(to)];
  for (;;) {
    const at = Math.ceil(first + 1 + Math.random() * (last - first - 1));
    const isLost = gaps.some((gap) => Date.parse(gap.from) < at && at <= Date.parse(gap.to));
    if (isLost) continue;
    const text = `${new Date(at).toISOString().replace("T", " ").replace("Z", "")}+00`;
    return { kind: "time", at, text };
  }
}
