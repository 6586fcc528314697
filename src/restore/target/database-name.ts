import { OdooPgError } from "../../errors.ts";
import type { BackupSource } from "../../backup/source.ts";
import { filestoreFor } from "./attachments.ts";

export function reserved(database: string): OdooPgError {
  return new OdooPgError("refused", {
    message: `"${database}" cannot be the name of a database of Odoo: it has another purpose.`,
    safe: "Nothing was changed.",
    next: "Choose another name.",
  });
}

/** @throws OdooPgError refused, usage. */
export function assertDatabaseName(config: BackupSource["config"], database: string): void {
  const own = ["postgres", "template0", "template1", config.odoo.template];
  if (own.includes(database) || database.startsWith("odoo_pg_")) throw reserved(database);
  const bytes = Buffer.byteLength(database);
  if (bytes === 0 || bytes > 63 || database.includes("\0")) {
    throw new OdooPgError("usage", {
      message: `The name of a database has 1 to 63 bytes; ${JSON.stringify(database)} has ${bytes}.`,
      safe: "Nothing was changed.",
    });
  }
  filestoreFor(config, database);
}
