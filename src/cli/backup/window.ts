import { ARCHIVE_TIMEOUT_SECONDS } from "../../config/settings/archiving.ts";
import { openRepository, type OpenRepository } from "../../archive/base-backup.ts";
import { listBases } from "../../archive/pgbackrest.ts";
import { readArchive } from "../../archive/record.ts";
import { provenSecondOf, provenWords } from "../../cluster/second-drill.ts";
import { archivedUpTo, windowOf, windowWords, type Kept, type Window } from "../../cluster/window.ts";
import type { ExitStatus } from "../../errors.ts";
import type { ServerFacts } from "../../model/observation.ts";
import { observeServer } from "../../postgres/sql/facts.ts";
import { Superuser } from "../../postgres/sql/superuser.ts";
import { readCopyStatus } from "../../store/copy-status.ts";
import { readSecondDrill } from "../../store/second-drill.ts";
import { readState } from "../../store/state.ts";
import { now } from "../../system/clock.ts";
import { serverOwner, type Context } from "../context.ts";

/** Which seconds can be brought back. @throws OdooPgError config_invalid where any second is off, not_running */
export async function backupWindow(context: Context, { json }: { json: boolean }): Promise<ExitStatus> {
  const window = await lookAtWindow(context);
  const { output, config, layout } = context;
  const copies = await Promise.all(
    config.backup.offsite.map(async ({ name }) => {
      const { copied_at } = await readCopyStatus(layout, name);
      return { name, copied_at };
    }),
  );
  const proven = provenSecondOf(config.backup.any_second, await readSecondDrill(layout.stateDir));
  if (json) output.out(JSON.stringify({ version: 1, ...window, copies, proven }, undefined, 2));
  else {
    const words = proven ? ` · ${provenWords(proven, now())}` : "";
    output.out(`${windowWords(window, now())} · copies: ${copyWords(copies)}${words}`);
  }
  return 0;
}

function copyWords(copies: readonly { readonly name: string; readonly copied_at: string | null }[]): string {
  if (!copies.length) return "none";
  return copies
    .map(({ name, copied_at: at }) =>
      at === null ? `${name} (none yet)` : `${name} (to ${at.slice(0, 19).replace("T", " ")})`,
    )
    .join(", ");
}

export async function lookAtWindow(context: Context): Promise<Window> {
  const { config, layout } = context;
  return windowOf(
    await lookAtKept(context, await openRepository(config, layout, await serverOwner(context))),
  );
}

/** Reads what is kept from the repository itself, and from the primary, where it answers. */
export async function lookAtKept(
  { config, layout }: Context,
  { pgbackrest, systemIdentifier }: OpenRepository,
): Promise<Kept> {
  const [bases, { archiving }, state] = await Promise.all([
    listBases(pgbackrest, systemIdentifier),
    readArchive(layout),
    readState(layout),
  ]);
  const node = config.nodes.find(({ name }) => name === state?.primary);
  const facts: ServerFacts | undefined =
    node &&
    (await Superuser.of(layout, node)
      .use(observeServer, { connectTimeout: 5000 })
      .catch(() => undefined));
  return { bases, archiving, end: archivedUpTo(facts, { bases }, ARCHIVE_TIMEOUT_SECONDS) };
}
