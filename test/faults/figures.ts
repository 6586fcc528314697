import { appendFileSync } from "node:fs";

/** Keeps what a scenario measured, for the table in the documentation; never compared with anything. */
export function figure(scenario: string, passes: string, measured: string): void {
  const file = process.env["ODOO_PG_FIGURES"];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ scenario, passes, measured })}\n`);
}

export const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`;
