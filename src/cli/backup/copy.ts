import { OdooPgError, toOdooPgError, type ExitStatus } from "../../errors.ts";
import { showBytes, showSeconds } from "../../model/quantities.ts";
import type { CopyStatus } from "../../model/backups/copy-status.ts";
import { nextStep, odooPg, type NextStep } from "../../next-step.ts";
import { copyElsewhere } from "../../offsite/copy.ts";
import { readSecret, type Elsewhere, type ResticOptions } from "../../offsite/restic.ts";
import { progressTo, type Progress } from "../../progress.ts";
import { changeCopyStatus, readCopyStatus } from "../../store/copy-status.ts";
import { now } from "../../system/clock.ts";
import { onSignals } from "../../system/process/process.ts";
import { readStandardInput } from "../../system/terminal.ts";
import { serverOwner, suggest, type Context, programSearch } from "../context.ts";
import { showProgress } from "../progress.ts";

/** The places to copy to: the named one, or all. @throws OdooPgError config_invalid, usage */
export function placesElsewhere(
  { config }: Pick<Context, "config">,
  name: string | undefined,
): readonly Elsewhere[] {
  const all = config.backup.offsite;
  if (!all.length) {
    throw new OdooPgError("config_invalid", {
      message: 'No copy elsewhere is configured: "backup.offsite" is empty.',
      safe: "Nothing was changed.",
      next: 'Write "offsite: [{ name: nas, repository: /mnt/nas/odoo, passphrase_file: /etc/odoo-pg/offsite.passphrase }]" below "backup" in odoo-pg.yaml.',
    });
  }
  const named = name === undefined ? all : all.filter((one) => one.name === name);
  if (named.length) return named;
  throw new OdooPgError("usage", {
    message: `No place elsewhere is called "${name ?? ""}". There are: ${all.map((one) => one.name).join(", ")}.`,
    safe: "Nothing was changed.",
    next: odooPg("backup", "copy", "--to", all[0]?.name ?? "NAME"),
  });
}

export function resticOptions(context: Context, signal: AbortSignal | undefined): ResticOptions {
  return {
    layout: context.layout,
    machine: context.machine,
    ...programSearch(context),
    signal,
  };
}

/** Copies elsewhere now. A copy that fails does not stop the others. */
export async function backupCopy(
  context: Context,
  options: { readonly to: string | undefined; readonly json: boolean },
): Promise<ExitStatus> {
  const { output } = context;
  const abort = new AbortController();
  const unhook = onSignals(["SIGINT", "SIGTERM"], () => abort.abort());
  const show = showProgress(context);
  const made: CopyStatus[] = [];
  const failed: OdooPgError[] = [];
  try {
    for (const elsewhere of placesElsewhere(context, options.to)) {
      try {
        made.push(await copyOne(context, elsewhere, abort.signal, progressTo(show.event)));
      } catch (error) {
        if (abort.signal.aborted || options.to !== undefined) throw error;
        failed.push(toOdooPgError(error));
      }
    }
  } finally {
    unhook();
    show.end();
  }
  if (options.json) output.out(JSON.stringify({ version: 1, copies: made }, undefined, 2));
  else for (const status of made) printCopy(context, status);
  const [first] = failed;
  if (first) throw first;
  return made.some(({ error }) => error !== null) ? 1 : 0;
}

const keepIt = (name: string): NextStep =>
  nextStep`Keep that elsewhere: ${odooPg("backup", "key", "show", "--of", name)}`;

async function copyOne(
  context: Context,
  elsewhere: Elsewhere,
  signal: AbortSignal,
  progress: Progress,
): Promise<CopyStatus> {
  const { config, layout } = context;
  const options = { ...resticOptions(context, signal), serverOwner: await serverOwner(context) };
  return await copyElsewhere(config, layout, elsewhere, options, progress);
}

function printCopy(
  context: Context,
  { name, seconds, added_bytes, key_confirmed_at, error }: CopyStatus,
): void {
  const { output } = context;
  output.out(`Copied to ${name} in ${showSeconds(seconds)}; ${showBytes(added_bytes)} were new.`);
  if (error !== null) output.err(`  Warning: ${error}`);
  if (key_confirmed_at === null)
    output.err(`  Nobody can read it without its passphrase. ${suggest(context, keepIt(name))}`);
}

/** Prints what must be kept elsewhere: without it the copies are worthless. */
export async function backupKeyShow(context: Context, name: string | undefined): Promise<ExitStatus> {
  const { output } = context;
  for (const { name: place, repository, passphrase_file, environment_file } of placesElsewhere(
    context,
    name,
  )) {
    output.out(`# ${place}: keep this where it cannot be lost together with this host or the copy.`);
    output.out(`repository: ${repository}`);
    output.out(`passphrase: ${(await readSecret(passphrase_file)).trim()}`);
    if (environment_file !== undefined) {
      output.out("environment:");
      output.out((await readSecret(environment_file)).trim().replaceAll(/^/gm, "  "));
    }
    output.err(
      suggest(
        context,
        nextStep`Then prove that it is kept: ${odooPg("backup", "key", "confirm", "--of", place)}`,
      ),
    );
  }
  return 0;
}

/** Records that a passphrase is kept elsewhere: proven by giving the kept passphrase on standard input. */
export async function backupKeyConfirm(context: Context, name: string | undefined): Promise<ExitStatus> {
  const { output, layout } = context;
  const places = placesElsewhere(context, name);
  const [place] = places;
  if (!place || places.length > 1) {
    throw new OdooPgError("usage", {
      message: "There are several places elsewhere: name one.",
      safe: "Nothing was changed.",
      next: odooPg("backup", "key", "confirm", "--of", place?.name ?? "NAME"),
    });
  }
  output.err(`Type the passphrase of ${place.name} from where you keep it, then Enter and Ctrl-D:`);
  const typed = (await readStandardInput()).trim();
  if (typed !== (await readSecret(place.passphrase_file)).trim()) {
    throw new OdooPgError("refused", {
      message: `That is not the passphrase of ${place.name}.`,
      safe: "Nothing was changed.",
      next: odooPg("backup", "key", "show", "--of", place.name),
    });
  }
  const before = await readCopyStatus(layout, place.name);
  await changeCopyStatus(layout, place.name, {
    key_confirmed_at: before.key_confirmed_at ?? new Date(now()).toISOString(),
  });
  output.out(`The passphrase of ${place.name} is kept elsewhere.`);
  return 0;
}
