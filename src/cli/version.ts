declare const ODOO_PG_VERSION: string | undefined;

/** The version of this program; put in by the build. */
export const VERSION: string = typeof ODOO_PG_VERSION === "string" ? ODOO_PG_VERSION : "0.0.0-source";
