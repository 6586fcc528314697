import path from "node:path";
import { isAddress } from "../../config/values/addresses.ts";
import { COMPOSE_HEAD } from "../../container/compose.ts";
import { renderHostsExample, type ExampleFile } from "../../container/compose-hosts.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import { ensureDirectory, readTextIfAny, writeFileIfChanged } from "../../system/files/files.ts";
import type { Context } from "../context.ts";

/** Writes an example of three hosts, or prints it. A foreign file is never replaced. */
export async function composeHosts(
  { output, invocation }: Context,
  flags: {
    readonly addresses: string;
    readonly directory: string;
    readonly print: boolean;
    /** What goes with one host alone, and was asked for. */
    readonly others: readonly string[];
  },
): Promise<ExitStatus> {
  const [other] = flags.others;
  if (other !== undefined)
    throw new OdooPgError("usage", {
      message: `--${other} does not go with --ha.`,
      safe: "Nothing was written.",
    });
  const addresses = flags.addresses.split(",").map((address) => address.trim());
  if (addresses.length !== 3 || new Set(addresses).size !== 3 || !addresses.every(isAddress))
    throw new OdooPgError("usage", {
      message: "--addresses wants the IP addresses of three hosts, such as 10.0.0.1,10.0.0.2,10.0.0.3.",
      safe: "Nothing was written.",
    });
  const files = renderHostsExample(addresses);
  if (flags.print) {
    output.out(files.map(({ path: name, text }) => `# ${name}\n${text.trimEnd()}`).join("\n---\n"));
    return 0;
  }
  const folder = path.resolve(invocation.cwd, flags.directory);
  await refuseForeign(folder, files);
  for (const { path: name, text } of files) {
    const file = path.join(folder, name);
    await ensureDirectory(path.dirname(file), { mode: 0o755 });
    await writeFileIfChanged(file, text, { mode: 0o644 });
  }
  output.err(`Written: ${files.map(({ path: name }) => path.join(folder, name)).join(", ")}`);
  output.err(
    "Take each folder to its host; its compose.yaml begins with what to type there. To try it: laptop/",
  );
  return 0;
}

async function refuseForeign(folder: string, files: readonly ExampleFile[]): Promise<void> {
  for (const { path: name } of files) {
    const file = path.join(folder, name);
    const present = await readTextIfAny(file);
    if (present === undefined || present.startsWith(COMPOSE_HEAD)) continue;
    throw new OdooPgError("refused", {
      message: `${file} was not made by odoo-pg.`,
      safe: "Nothing was written.",
      next: nextStep`Choose another folder (--directory), or print it: ${odooPg("compose", "--ha", "--print")}`,
    });
  }
}
