import path from "node:path";
import { doctorDocument, type DoctorDocument } from "../../advice/doctor/document.ts";
import { seen, unseen, type Observed } from "../../advice/doctor/evidence.ts";
import { gatherEvidence } from "../../advice/doctor/gather/gather.ts";
import { odooPg } from "../../next-step.ts";
import { readOdooConf, type OdooConf } from "../../advice/doctor/odoo-conf.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { fileBytes, kindOf, readTextIfAny } from "../../system/files/files.ts";
import { doctorSheet } from "./doctor-sheet.ts";
import { namedFile, suggest, type Context } from "../context.ts";

/** Bytes; an odoo.conf has a few thousand. */
const LARGEST_CONF = 1024 * 1024;

/**
 * Prints everything that is not as it should be, with what to do. Changes nothing.
 * @returns 0 when nothing critical was found, 1 when something was, 69 when no server answers.
 * @throws OdooPgError config_invalid for an odoo.conf that cannot be read; state_dir_unusable.
 */
export async function doctor(
  context: Pick<Context, "config" | "configFile" | "invocation" | "output">,
  flags: { readonly odooConf: string | undefined; readonly json: boolean },
): Promise<ExitStatus> {
  const evidence = await gatherEvidence({
    config: context.config,
    odooConf: await odooConf(context, flags.odooConf),
  });
  const document = doctorDocument(evidence, namedFile(context));
  const { output } = context;
  output.out(flags.json ? JSON.stringify(document, undefined, 2) : doctorSheet(document, output));
  return doctorExit(document);
}

function doctorExit({ nodes, worst }: DoctorDocument): ExitStatus {
  if (nodes.length === 0) return 69;
  return worst === "critical" ? 1 : 0;
}

async function odooConf(
  context: Pick<Context, "configFile" | "invocation" | "output">,
  named: string | undefined,
): Promise<Observed<OdooConf>> {
  if (named === undefined)
    return unseen(`name it: ${suggest(context, odooPg("doctor", "--odoo-conf", "/etc/odoo/odoo.conf"))}`);
  const file = path.resolve(context.invocation.cwd, named);
  const problem = await unreadable(file);
  const text = problem === undefined ? await readTextIfAny(file) : undefined;
  if (text !== undefined) return seen(readOdooConf(named, text));
  throw new OdooPgError("config_invalid", {
    message: `${named}: ${problem ?? "there is no such file"}.`,
    safe: "Nothing was changed; doctor changes nothing.",
    next: "Name the file that Odoo is started with (odoo -c FILE), as a user who may read it.",
  });
}

async function unreadable(file: string): Promise<string | undefined> {
  const kind = await kindOf(file);
  if (kind === undefined) return "there is no such file";
  if (kind !== "file") return "is no file";
  return (await fileBytes(file)) > LARGEST_CONF ? "is too large for an odoo.conf" : undefined;
}
