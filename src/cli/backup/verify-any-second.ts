import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { odooPg } from "../../next-step.ts";
import { printableLine } from "../../printable.ts";
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
  for (const { database, tables, rows, attachments, missing, pages } of databases) {
    const lack = missing.count === 0 ? "none missing" : `${missing.count} MISSING`;
    const sound =
      pages === null
        ? "tables and indexes not checked (amcheck is not installed)"
        : pages.damaged.count === 0
          ? `${pages.relations} tables and indexes sound`
          : `${pages.damaged.count} of ${pages.relations} tables and indexes DAMAGED`;
    output.out(
      printableLine(
        `${database}: ${tables} tables, ${rows} rows, ${attachments} attachments, ${lack}, ${sound}`,
      ),
    );
    for (const name of [...missing.first, ...(pages?.damaged.first ?? [])].slice(0, 20))
      output.err(printableLine(`  - ${name}`));
  }
  const count = `${databases.length} databases, from base backup ${base} (${seconds} s)`;
  output.out(ok ? `${at ?? ""} can be brought back: ${count}.` : `${at ?? ""} is NOT whole: ${count}.`);
  return ok ? 0 : 1;
}
