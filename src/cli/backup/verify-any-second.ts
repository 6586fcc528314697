import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { odooPg } from "../../next-step.ts";
import { printableLine } from "../../printable.ts";
import type { ProvenDatabase } from "../../restore/at-moment.ts";
import type { Context } from "../context.ts";
import { onPrimary } from "../source.ts";
import { targetOf } from "./restore-moment.ts";
import { drillSecond } from "./second-drill.ts";

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
  const named = targetOf({ at: flags.at, beforeXid: undefined, lsn: undefined });
  const proof = await onPrimary(
    context,
    async (source, progress) => await drillSecond(context, source, named, progress),
  );
  const { at, base, seconds, ok, databases, damaged } = proof;
  if (flags.json) {
    output.out(JSON.stringify({ version: 1, at, base, seconds, ok, databases, damaged }, undefined, 2));
    return ok ? 0 : 1;
  }
  for (const one of databases) {
    const { missing, pages } = one;
    output.out(printableLine(`${one.database}: ${found(one)}, ${soundness(one)}`));
    for (const name of [...missing.first, ...(pages?.damaged.first ?? [])].slice(0, 20))
      output.err(printableLine(`  - ${name}`));
  }
  const count = `${databases.length} databases, from base backup ${base} (${seconds} s)`;
  output.out(ok ? `${at ?? ""} can be brought back: ${count}.` : `${at ?? ""} is NOT whole: ${count}.`);
  return ok ? 0 : 1;
}

function found({ tables, rows, attachments, missing, failure }: ProvenDatabase): string {
  if (failure !== null) return `NOT READ: ${failure}`;
  const lack = missing.count === 0 ? "none missing" : `${missing.count} MISSING`;
  return `${tables} tables, ${rows} rows, ${attachments} attachments, ${lack}`;
}

function soundness({ pages, failure }: ProvenDatabase): string {
  if (pages === null)
    return `tables and indexes not checked${failure === null ? " (amcheck is not installed)" : ""}`;
  return pages.damaged.count === 0
    ? `${pages.relations} tables and indexes sound`
    : `${pages.damaged.count} of ${pages.relations} tables and indexes DAMAGED`;
}
