import { afterCall, odooPg } from "../../next-step.ts";
import { isAnyPooled } from "../../config/pooling.ts";
import { findHaproxy } from "../../endpoints/haproxy.ts";
import { findPgbouncer } from "../../endpoints/pgbouncer/program.ts";
import { toOdooPgError, type ExitStatus, type OdooPgError } from "../../errors.ts";
import { configRows, configSheet } from "../../config/show.ts";
import { findInstallation } from "../../postgres/installation.ts";
import { renderPostgresqlConf } from "../../postgres/render.ts";
import { requireOwnHosts } from "../../services/own-hosts.ts";
import { keptSettings } from "../../store/kept-settings.ts";
import { readState } from "../../store/state.ts";
import { validateConfiguration } from "../../postgres/validate.ts";
import { nodeLayoutOf } from "../../config/layout.ts";
import { diskSpace } from "../../system/files/files.ts";
import { temporaryDirectory } from "../../system/files/temporary-directory.ts";
import {
  asItsUser,
  givenPasswords,
  loadContext,
  serverOwner,
  fileNamedBy,
  suggest,
  type Context,
  programSearch,
} from "../context.ts";
import { showTable } from "../table.ts";
import { noteFormerNames } from "../former-names.ts";
import type { Invocation, Output } from "../../system/terminal.ts";

/** Prints every value with its origin. */
export function configShow(context: Context, options: { json?: boolean }): ExitStatus {
  const sheet = configSheet(context);
  const { output } = context;
  if (options.json) output.out(JSON.stringify({ version: 1, ...sheet }, undefined, 2));
  else showTable(output, ["KEY", "VALUE", "FROM"], configRows(sheet));
  return 0;
}

/**
 * Checks everything that can be checked without touching the cluster: the file, programs, users, passwords, parameters.
 */
export async function configCheck(
  invocation: Invocation,
  output: Output,
  flag: string | undefined,
  options: { json?: boolean },
): Promise<ExitStatus> {
  const configFile = fileNamedBy(invocation, flag);
  const errors: OdooPgError[] = [];
  const attempt = async (act: () => Promise<unknown>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      errors.push(toOdooPgError(error));
    }
  };
  await attempt(async () => {
    const context = await asItsUser(await loadContext(invocation, output, flag), { taking: true });
    const tools = programSearch(context);
    // A container with only the endpoints routes to nodes elsewhere.
    if (!invocation.environment["ENDPOINTS_FOR"])
      await attempt(async () => await requireOwnHosts(context.config));
    await attempt(async () => await givenPasswords(context.secrets));
    await attempt(async () => await findHaproxy(context.config.haproxy.program, tools));
    if (isAnyPooled(context.config))
      await attempt(async () => await findPgbouncer(context.config.pgbouncer.program, tools));
    await attempt(async () => await checkParameters(context));
    if (!options.json) noteFormerNames(context);
    if (!options.json && !errors.length) {
      output.err(
        `The configuration${context.configFile === undefined ? " (defaults)" : ` ${context.configFile}`} is valid.`,
      );
      output.err(`Apply it: ${suggest(context, odooPg("up"))}`);
    }
  });
  if (options.json) {
    output.out(
      JSON.stringify(
        {
          version: 1,
          valid: errors.length === 0,
          errors: errors.map((error) => error.toDocument(configFile, invocation.args)),
        },
        undefined,
        2,
      ),
    );
  } else {
    for (const error of errors) {
      output.err(`${error.code}: ${error.message}`);
      if (error.next !== undefined)
        output.err(`  Next: ${suggest({ configFile, output }, afterCall(error.next, invocation.args))}`);
    }
  }
  return errors[0]?.exit ?? 0;
}

/**
 * Lets PostgreSQL's own parser read the configuration of a node. @throws OdooPgError parameter_invalid,
 * postgres_missing
 */
export async function checkParameters(context: Context): Promise<void> {
  const { config, layout, machine } = context;
  const installation = await findInstallation(config.postgres, programSearch(context));
  const owner = await serverOwner(context);
  const [node] = config.nodes;
  if (!node) return;
  await temporaryDirectory(owner, async (directory) => {
    const disk = await diskSpace(layout.stateDir);
    const text = renderPostgresqlConf({
      config,
      layout,
      node,
      files: nodeLayoutOf(layout, node),
      facts: { ...machine, diskBytes: disk.totalBytes, major: installation.major },
      kept: await keptSettings(
        context,
        // As another user, or before a cluster of 0.1 was taken over: any record is enough to check the rest.
        await readState(layout).catch(() => undefined),
        installation.major,
      ),
      upstream: undefined,
      floor: {},
    });
    await validateConfiguration(installation, text, `${directory}/postgresql.conf`, owner);
  });
}
