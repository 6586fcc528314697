import { odooPg } from "../../next-step.ts";
import { readPassword } from "../../store/secrets.ts";
import { passwordFile } from "../../store/secrets.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { odooOptions, serviceLines, type OdooOption } from "../../odoo/conf.ts";
import { maxConnections } from "../../config/settings/table.ts";
import { keptSettings } from "../../store/kept-settings.ts";
import { readState } from "../../store/state.ts";
import { endpointHost } from "../../config/values/addresses.ts";
import { suggest, type Context } from "../context.ts";
import { readNamedConf } from "./adopt.ts";

async function options(context: Context): Promise<OdooOption[]> {
  const password = await readPassword(context.layout, "odoo");
  if (password === undefined) {
    throw new OdooPgError("not_running", {
      message: `Cluster ${context.config.cluster} has not been started yet: there is no password for role ${context.config.odoo.role}.`,
      next: odooPg("up"),
    });
  }
  const { config, layout } = context;
  const kept = await keptSettings(context, await readState(layout), undefined);
  return odooOptions(config, endpointHost(config.listen), password, maxConnections(config, kept));
}

function iniLines(context: Context, lines: readonly OdooOption[]): string[] {
  return [
    "[options]",
    ...lines.flatMap((line) => [`; ${reasonOf(context, line)}`, `${line.name} = ${line.value}`]),
  ];
}

function reasonOf(context: Context, { reason, more }: OdooOption): string {
  return more === undefined ? reason : `${reason}; for workers: ${suggest(context, more)}`;
}

/** As comments: text beside odoo.conf may be pasted into it, too. */
function beside(context: Context): string[] {
  return [
    "",
    "; Beside odoo.conf, for the service that runs Odoo (systemctl edit odoo):",
    "; [Service]",
    ...serviceLines(context.config).flatMap(({ line, reason }) => [`; # ${reason}`, `; ${line}`]),
  ];
}

/** The lines of odoo.conf. This is the one command that prints a password: that is its purpose. */
export async function odooConf(
  context: Context,
  flags: { readonly json: boolean; readonly from: string | undefined },
): Promise<ExitStatus> {
  const lines = await options(context);
  if (flags.from !== undefined) return await rewritten(context, flags.from, lines, flags.json);
  if (flags.json) {
    const document = {
      version: 1,
      options: Object.fromEntries(lines.map(({ name, value }) => [name, value])),
      reasons: Object.fromEntries(lines.map((line) => [line.name, reasonOf(context, line)])),
      service: serviceLines(context.config),
    };
    context.output.out(JSON.stringify(document, undefined, 2));
    return 0;
  }
  context.output.out([...iniLines(context, lines), ...beside(context)].join("\n"));
  return 0;
}

/** An existing odoo.conf, with these lines instead of its own. Everything else in it stays. */
async function rewritten(
  context: Context,
  from: string,
  lines: readonly OdooOption[],
  json: boolean,
): Promise<ExitStatus> {
  const { output } = context;
  const { options: present, rewrite } = await readNamedConf(context, from);
  const changed = lines.filter(({ name, value }) => present.get(name) !== value);
  const text = rewrite(changed);
  if (json) {
    const document = { version: 1, file: from, changed: changed.map(({ name }) => name), text };
    output.out(JSON.stringify(document, undefined, 2));
    return 0;
  }
  // The output adds the line break at its end.
  output.out(text.replace(/\n$/, ""));
  const names = changed.map(({ name }) => name).join(", ");
  output.err(
    changed.length ? `Changed in ${from}: ${names}. The rest is as it was.` : `${from} needs no change.`,
  );
  if (context.config.odoo.filestore === undefined)
    output.err(
      `Attachments are in no backup yet. Next: ${suggest(context, odooPg("adopt", from, "--apply"))}`,
    );
  return 0;
}

/** As `odooConf`, for the end of `up`. Off a terminal the password stays in its file: such output ends up in logs. */
export async function printOdooLines(context: Context): Promise<void> {
  const lines = await options(context);
  const shown = context.output.terminal
    ? lines
    : lines.map((line) =>
        line.name === "db_password"
          ? { ...line, value: `(in ${passwordFile(context.layout, "odoo")})` }
          : line,
      );
  context.output.out(`; for odoo.conf (again: ${suggest(context, odooPg("odoo-conf"))})`);
  context.output.out(iniLines(context, shown).join("\n"));
}
