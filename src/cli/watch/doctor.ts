import { doctorDocument, type DoctorDocument } from "../../advice/doctor/document.ts";
import { seen, unseen, type Observed } from "../../advice/doctor/evidence.ts";
import { gatherEvidence } from "../../advice/doctor/gather/gather.ts";
import { odooPg } from "../../next-step.ts";
import { readOdooConf, type OdooConf } from "../../advice/doctor/odoo-conf.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { readOdooFile } from "../odoo/odoo-file.ts";
import { fixFindings } from "./doctor-fix.ts";
import { doctorSheet } from "./doctor-sheet.ts";
import { hostsSeen } from "../hosts/seen.ts";
import { namedFile, suggest, type Context } from "../context.ts";

interface DoctorFlags {
  readonly odooConf: string | undefined;
  /** The code of the findings to repair. */
  readonly fix: string | undefined;
  readonly dryRun: boolean;
  readonly json: boolean;
}

/**
 * Prints every problem, with what to do. Changes nothing except with `fix`.
 * @returns 0 when nothing critical was found, 1 when something was, 69 while all servers are down.
 * @throws OdooPgError config_invalid for an odoo.conf that cannot be read; state_dir_unusable.
 */
export async function doctor(context: Context, flags: DoctorFlags): Promise<ExitStatus> {
  if (flags.dryRun && flags.fix === undefined)
    throw new OdooPgError("usage", {
      message: "--dry-run goes with --fix: without it, doctor changes nothing.",
      next: odooPg("doctor"),
    });
  const look = async (): Promise<DoctorDocument> => {
    const odooConf = await odooConfOf(context, flags.odooConf);
    const hosts = await hostsSeen(context.layout);
    const evidence = await gatherEvidence({ config: context.config, odooConf, ...(hosts && { hosts }) });
    return doctorDocument(evidence, namedFile(context));
  };
  if (flags.fix !== undefined) return await fixFindings(context, flags.fix, look, flags);
  const document = await look();
  const { output } = context;
  output.out(flags.json ? JSON.stringify(document, undefined, 2) : doctorSheet(document, output));
  return doctorExit(document);
}

function doctorExit({ nodes, worst }: DoctorDocument): ExitStatus {
  if (nodes.length === 0) return 69;
  return worst === "critical" ? 1 : 0;
}

async function odooConfOf(
  context: Pick<Context, "configFile" | "invocation" | "output">,
  named: string | undefined,
): Promise<Observed<OdooConf>> {
  if (named === undefined)
    return unseen(`name it: ${suggest(context, odooPg("doctor", "--odoo-conf", "/etc/odoo/odoo.conf"))}`);
  return seen(readOdooConf(named, await readOdooFile(context, named)));
}
