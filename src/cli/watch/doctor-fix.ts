import type { DoctorDocument } from "../../advice/doctor/document.ts";
import type { Finding, Fix } from "../../advice/doctor/findings.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { recorded } from "../../events/journal.ts";
import { isFindingCode } from "../../model/troubles/troubles.ts";
import { odooPg } from "../../next-step.ts";
import { Superuser } from "../../postgres/sql/access/superuser.ts";
import { requester } from "../../system/machine.ts";
import { SqlError } from "../../system/sql/sql.ts";
import { serverOwner, suggest, type Context } from "../context.ts";
import { nodeCalled } from "../hosts/several.ts";

/**
 * Timeout of a statement that waits for other users of the table, in milliseconds: later sessions would wait for it,
 * too.
 */
const LOCK_TIMEOUT = 5000;

/**
 * Repairs the findings of a code, by the statements in them, and examines again.
 * @param look examines the cluster
 * @returns 0 when nothing of that code is left
 * @throws OdooPgError usage for an unknown code, refused where a person must decide, command_failed
 */
export async function fixFindings(
  context: Context,
  code: string,
  look: () => Promise<DoctorDocument>,
  flags: { readonly dryRun: boolean; readonly json: boolean },
): Promise<ExitStatus> {
  if (!isFindingCode(code))
    throw new OdooPgError("usage", {
      message: `Nothing that doctor finds is called "${code}".`,
      safe: "Nothing was changed.",
      next: odooPg("doctor"),
    });
  const { output } = context;
  const found = (await look()).findings.filter((one) => one.code === code);
  const fixable = found.flatMap((finding) => (finding.fix ? [{ finding, fix: finding.fix }] : []));
  const [undecided] = found.filter(({ fix }) => !fix);
  if (undecided && !fixable.length)
    throw new OdooPgError("refused", {
      message: `${undecided.message} What to do about it is for you to decide.`,
      safe: "Nothing was changed.",
      next: undecided.next_step,
    });
  if (!flags.dryRun) for (const { finding, fix } of fixable) await run(context, finding, fix);
  const left = flags.dryRun ? found : (await look()).findings.filter((one) => one.code === code);
  if (flags.json) {
    const document = { version: 1, code, dry_run: flags.dryRun, fixes: fixable.map(({ fix }) => fix), left };
    output.out(JSON.stringify(document, undefined, 2));
  } else {
    for (const { finding, fix } of fixable) {
      output.out(finding.message);
      const where = fix.database === null ? fix.node : `${fix.node}, database ${fix.database}`;
      for (const statement of fix.statements) output.out(`  ${where}: ${statement}`);
    }
    if (flags.dryRun && fixable.length) output.err("Dry run: nothing was changed.");
    else if (!found.length) output.err(`There is no ${code} now: nothing to do.`);
    else if (!left.length) output.err("It is fixed now.");
  }
  const [first] = left;
  if (flags.dryRun || !first) return 0;
  if (!flags.json)
    output.err(`It is still there: ${first.message} Look again: ${suggest(context, odooPg("doctor"))}`);
  return 1;
}

async function run(context: Context, finding: Finding, fix: Fix): Promise<void> {
  const { layout } = context;
  const node = await nodeCalled(context, fix.node);
  if (!node) return;
  const superuser = Superuser.of(layout, node).in(fix.database ?? "postgres");
  const by = requester();
  const about = { kind: "fix" as const, by, ...(fix.database !== null && { database: fix.database }) };
  const journal = {
    ...about,
    stateDir: layout.stateDir,
    owner: await serverOwner(context),
    told: () => ({ ...about, node: node.name, text: `doctor fixed ${finding.code}` }),
  };
  await recorded(journal, async () => {
    const settings = { lock_timeout: String(LOCK_TIMEOUT) };
    await superuser.use(
      async (session) => {
        for (const statement of fix.statements) await session.query(statement);
      },
      { applicationName: "odoo-pg doctor", settings },
    );
  }).catch((error: unknown) => {
    if (!(error instanceof SqlError)) throw error;
    throw new OdooPgError("command_failed", {
      message: `${finding.code} could not be fixed on ${fix.node}: ${error.message}.`,
      safe: "Statements that were done stay done; each can be run again.",
      next: odooPg("doctor", "--fix", finding.code, "--dry-run"),
      cause: error,
    });
  });
}
