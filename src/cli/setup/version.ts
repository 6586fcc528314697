declare const ODOO_PG_VERSION: string | undefined;

/** The version of this program; put in by the build. */
export const VERSION: string = typeof ODOO_PG_VERSION === "string" ? ODOO_PG_VERSION : "0.0.0-source";

declare const ODOO_PG_BUILD: string | undefined;

/** Identifies this build, even among builds of the same version: a hash of its text, added by the build. */
export const BUILD: string = typeof ODOO_PG_BUILD === "string" ? ODOO_PG_BUILD : "source";
