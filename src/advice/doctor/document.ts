import * as z from "zod";
import { nextInDocument } from "../../next-step.ts";
import { diagnose } from "./diagnose.ts";
import { observedValues, type Evidence } from "./evidence.ts";
import { findingSchema } from "./findings.ts";
import { unobserved } from "./unobserved.ts";

/** What `doctor --json` prints. Fields are only ever added within a version. */
export const doctorDocumentSchema = z.strictObject({
  version: z.literal(1),
  cluster: z.string(),
  /** When the evidence was gathered, ISO 8601. */
  at: z.string(),
  /** The worst severity of the findings; `none` covers only what could be checked. */
  worst: z.enum(["none", "advice", "warning", "critical"]),
  /** The worst first. */
  findings: findingSchema.array(),
  /** Servers that answered. */
  nodes: z.string().array(),
  /** Databases that were examined. */
  databases: z.string().array(),
  /** The file of Odoo that was read; null when none was named. */
  odoo_conf: z.string().nullable(),
  /** What could not be checked, and why. */
  not_looked_at: z.strictObject({ what: z.string().min(1), why: z.string().min(1) }).array(),
});
export type DoctorDocument = z.output<typeof doctorDocumentSchema>;

/**
 * Judges what was gathered. Pure.
 * @param config the configuration file that a command has to name to meet this cluster
 */
export function doctorDocument(evidence: Evidence, config: string | undefined): DoctorDocument {
  const findings = diagnose(evidence).map((found) => ({
    ...found,
    ...nextInDocument(found.next_step, config),
  }));
  const each = observedValues(evidence.catalog).flatMap((catalog) => [...catalog.each]);
  return {
    version: 1,
    cluster: evidence.config.cluster,
    at: new Date(evidence.now).toISOString(),
    worst: findings[0]?.severity ?? "none",
    findings,
    nodes: evidence.nodes.filter(({ server }) => server.seen).map(({ name }) => name),
    databases: each.filter(([, observed]) => observed.seen).map(([name]) => name),
    odoo_conf: evidence.odooConf.seen ? evidence.odooConf.value.file : null,
    not_looked_at: unobserved(evidence),
  };
}
