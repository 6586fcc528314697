import type { Origin } from "./origins.ts";

/** The roles whose passwords may be given; the others, and those not given, are generated. */
export type PasswordRole = "odoo" | "openerp" | "replicator" | "collectd" | "upstream";

/** Where a password comes from. A value is kept out of Config, so that Config can be printed and stored. */
export type PasswordSource =
  | { readonly kind: "value"; readonly value: string; readonly origin: Origin }
  | { readonly kind: "file"; readonly path: string; readonly origin: Origin };

export type Secrets = Readonly<Partial<Record<PasswordRole, PasswordSource>>>;

/**
 * Why a password is refused; undefined where it is fine. Never repeats any part of it.
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

/**
 * Why a password is refused for a role that Odoo may be told to use; undefined where it is fine. Never repeats any part of it.
 *
 * Odoo reads odoo.conf with Python's RawConfigParser: blanks at either end of a value are cut off, everything else inside
 * a line is kept, quotes and `#` too. Then True and False (Odoo 18), False and None (Odoo 19) are not text to it.
 */
export function givenPasswordProblem(text: string): string | undefined {
  const problem = passwordProblem(text);
  if (problem !== undefined) return problem;
  if (/^ | $/.test(text))
    return "the password begins or ends with a blank, which Odoo cuts off when it reads odoo.conf";
  if (/^(?:true|false|none)$/i.test(text))
    return "the password is one of the words that Odoo does not take for text when it reads odoo.conf";
  return undefined;
}
