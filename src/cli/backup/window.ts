import { openRepository, type OpenRepository } from "../../archive/base-backup.ts";
import { listBases } from "../../archive/pgbackrest.ts";
import { readArchive } from "../../archive/record.ts";
import { archivedEnd } from "../../archive/segments-ready.ts";
import { provenSecondOf, provenWords } from "../../cluster/backups/second-drill.ts";
import { windowOf, windowWords, type Kept, type Window } from "../../cluster/backups/window.ts";
import type { Layout } from "../../config/layout.ts";
import { hostsStatus } from "../../hosts/ask-agent.ts";
import { hostCopies } from "../../hosts/decisions/any-second.ts";
import { readHostRecord } from "../../hosts/documents/record.ts";
import type { ExitStatus } from "../../errors.ts";
import type { ServerFacts } from "../../model/observation.ts";
import { observeServer } from "../../postgres/sql/observing/facts.ts";
import { Superuser } from "../../postgres/sql/access/superuser.ts";
import { readCopyStatus } from "../../store/copy-status.ts";
import { readSecondDrill } from "../../store/second-drill.ts";
import { readState, recordedPrimary } from "../../store/state.ts";
import { now } from "../../system/clock.ts";
import { serverOwner, type Context } from "../context.ts";

/** Which seconds can be brought back. @throws OdooPgError config_invalid where any second is off, not_running */
export async function backupWindow(context: Context, { json }: { json: boolean }): Promise<ExitStatus> {
  const window = await lookAtWindow(context);
  const { output, config, layout } = context;
  const elsewhere = await Promise.all(
    config.backup.offsite.map(async ({ name }) => {
      const { copied_at } = await readCopyStatus(layout, name);
      return { name, copied_at };
    }),
  );
  const copies = [...(await copiesOfHosts(layout)), ...elsewhere];
  const proven = provenSecondOf(config.backup.any_second, await readSecondDrill(layout.stateDir));
  if (json) output.out(JSON.stringify({ version: 1, ...window, copies, proven }, undefined, 2));
  else {
    const words = proven ? ` · ${provenWords(proven, now())}` : "";
    output.out(`${windowWords(window, now())} · copies: ${copyWords(copies)}${words}`);
  }
  return 0;
}

/** Where there are several hosts, each of the others keeps one. */
async function copiesOfHosts(layout: Layout): Promise<ReturnType<typeof hostCopies>> {
  if (!(await readHostRecord(layout))) return [];
  const status = await hostsStatus(layout, 3000);
  return status ? hostCopies(status) : [];
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
  { dataDir, pgbackrest, systemIdentifier }: OpenRepository,
): Promise<Kept> {
  const [bases, { archiving }, state] = await Promise.all([
    listBases(pgbackrest, systemIdentifier),
    readArchive(layout),
    readState(layout),
  ]);
  const node = recordedPrimary(config.nodes, state);
  const facts: ServerFacts | undefined =
    node &&
    (await Superuser.of(layout, node)
      .use(observeServer, { connectTimeout: 5000 })
      .catch(() => undefined));
  return { bases, archiving, end: await archivedEnd(dataDir, facts, { bases }) };
}
