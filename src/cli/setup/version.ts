declare const ODOO_PG_VERSION: string | undefined;

/** The version of this program; put in by the build. */
export const VERSION: string = typeof ODOO_PG_VERSION === "string" ? ODOO_PG_VERSION : "0.0.0-source";

declare const ODOO_PG_BUILD: string | undefined;

/** Tells this program from every other one, also from another one of the same version: a hash of its text, by the build. */
export const BUILD: string = typeof ODOO_PG_BUILD === "string" ? ODOO_PG_BUILD : "source";
