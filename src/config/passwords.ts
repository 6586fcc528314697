import type { Origin } from "./origins.ts";

/** The roles whose passwords may be given; the others, and those not given, are generated. */
export type PasswordRole = "odoo" | "openerp" | "replicator" | "collectd" | "upstream";

/** Where a password comes from. A value is kept out of Config, so that Config can be printed and stored. */
export type PasswordSource =
  | { readonly kind: "value"; readonly value: string; readonly origin: Origin }
  | { readonly kind: "file"; readonly path: string; readonly origin: Origin };

export type Secrets = Readonly<Partial<Record<PasswordRole, PasswordSource>>>;

/**
 * What is wrong with a password. Never repeats any part of it.
 *
 * The SCRAM verifier is computed on the client, so that the server never sees the password. For other
 * characters SASLprep (RFC 4013) decides which bytes are hashed, and programs differ in how they apply it.
 */
export function passwordProblem(text: string): string | undefined {
  if (text === "") return "the password is empty";
  if (/[\r\n]/.test(text)) return "the password holds a line break";
  if (/[^\x20-\x7e]/.test(text)) {
    return "the password holds a character that is not printable ASCII: its SCRAM verifier is computed on the client, and programs disagree on how to encode other characters";
  }
  return undefined;
}
