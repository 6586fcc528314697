/** A column, as neutralising needs it. */
export interface Column {
  readonly table: string;
  readonly column: string;
  readonly nullable: boolean;
  /** Whether it holds text. */
  readonly text: boolean;
}

/** The columns of schema public: what neutralising is built from. */
export const COLUMNS = `SELECT c.relname AS table, a.attname AS column, NOT a.attnotnull AS nullable,
    a.atttypid IN ('pg_catalog.text'::pg_catalog.regtype, 'pg_catalog.varchar'::pg_catalog.regtype) AS text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
  WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p')
    AND a.attnum > 0 AND NOT a.attisdropped`;

interface Step {
  readonly table: string;
  /** Without these columns the step has nothing to do in this Odoo. */
  readonly columns: readonly string[];
  readonly sql: string;
}

/** An address that can never be reached (RFC 2606). */
const NOWHERE = "invalid";

const STEPS: readonly Step[] = [
  // Scheduled actions: all except the one that cleans up inside the database.
  {
    table: "ir_cron",
    columns: ["active"],
    sql: "UPDATE public.ir_cron SET active = false WHERE active",
  },
  {
    table: "ir_model_data",
    columns: ["model", "name", "module", "res_id"],
    sql: `UPDATE public.ir_cron SET active = true WHERE id IN (
      SELECT res_id FROM public.ir_model_data WHERE model = 'ir.cron' AND module = 'base' AND name = 'autovacuum_job')`,
  },
  // Mail: without an active server, Odoo would use the one in its configuration file.
  {
    table: "ir_mail_server",
    columns: ["active"],
    sql: "UPDATE public.ir_mail_server SET active = false",
  },
  {
    table: "ir_mail_server",
    columns: ["name", "smtp_host", "smtp_port", "smtp_encryption", "smtp_authentication", "active"],
    sql: `INSERT INTO public.ir_mail_server (name, smtp_host, smtp_port, smtp_encryption, smtp_authentication, active)
      VALUES ('neutralised: mail goes nowhere', '${NOWHERE}', 1025, 'none', 'login', true)`,
  },
  {
    table: "mail_template",
    columns: ["mail_server_id"],
    sql: "UPDATE public.mail_template SET mail_server_id = NULL WHERE mail_server_id IS NOT NULL",
  },
  {
    table: "fetchmail_server",
    columns: ["active"],
    sql: "UPDATE public.fetchmail_server SET active = false WHERE active",
  },
  {
    table: "ir_act_server",
    columns: ["webhook_url"],
    sql: `UPDATE public.ir_act_server SET webhook_url = 'http://${NOWHERE}/neutralised' WHERE webhook_url <> ''`,
  },
  // Payment and delivery.
  {
    table: "payment_provider",
    columns: ["state"],
    sql: "UPDATE public.payment_provider SET state = 'disabled' WHERE state NOT IN ('test', 'disabled')",
  },
  // Its name before Odoo 16.
  {
    table: "payment_acquirer",
    columns: ["state"],
    sql: "UPDATE public.payment_acquirer SET state = 'disabled' WHERE state NOT IN ('test', 'disabled')",
  },
  {
    table: "delivery_carrier",
    columns: ["prod_environment"],
    sql: "UPDATE public.delivery_carrier SET prod_environment = false WHERE prod_environment",
  },
  // Third-party services.
  {
    table: "iap_account",
    columns: ["account_token"],
    sql: "UPDATE public.iap_account SET account_token = pg_catalog.left(pg_catalog.split_part(account_token, '+', 1), 34) || '+disabled' WHERE account_token IS NOT NULL",
  },
  {
    table: "auth_oauth_provider",
    columns: ["enabled"],
    sql: "UPDATE public.auth_oauth_provider SET enabled = false WHERE enabled",
  },
  ...["mail_push", "mail_notification_web_push", "mail_push_device", "mail_partner_device"].map(
    (table): Step => ({ table, columns: [], sql: `DELETE FROM public.${table}` }),
  ),
  {
    table: "ir_config_parameter",
    columns: ["key", "value"],
    sql: `DELETE FROM public.ir_config_parameter WHERE key LIKE 'mail.web\\_push\\_vapid\\_%' OR key LIKE 'cloud\\_storage\\_%'
      OR key IN ('mail.sfu_server_key', 'mail.sfu_server_url', 'mail.twilio_account_token', 'mail.google_translate_api_key',
        'web_map.token_map_box', 'web.base.url.freeze', 'database.enterprise_code')`,
  },
  // The website must not be found, and must not load anything from the live one.
  {
    table: "website",
    columns: ["cdn_activated"],
    sql: "UPDATE public.website SET cdn_activated = false WHERE cdn_activated",
  },
  {
    table: "website",
    columns: ["domain"],
    sql: "UPDATE public.website SET domain = NULL WHERE domain IS NOT NULL",
  },
  {
    table: "website",
    columns: ["robots_txt"],
    sql: "UPDATE public.website SET robots_txt = E'User-agent: *\\nDisallow: /'",
  },
  // Visible changes; newer versions of Odoo keep such views in a table of their own.
  ...["ir_ui_view", "ir_qweb"].map((table): Step => ({
    table,
    columns: ["key", "active"],
    sql: `UPDATE public.${table} SET active = true WHERE key IN ('web.neutralize_banner', 'website.neutralize_ribbon')`,
  })),
];

/**
 * Keys of ir_config_parameter that identify a database, as Odoo resets them for a copy (`ir_config_parameter.init`).
 */
const IDENTITY: readonly (readonly [key: string, value: string])[] = [
  ["database.is_neutralized", "'true'"],
  ["database.uuid", "pg_catalog.gen_random_uuid()::text"],
  ["database.secret", "pg_catalog.gen_random_uuid()::text"],
  [
    "database.create_date",
    "pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.now()), 'YYYY-MM-DD HH24:MI:SS')",
  ],
  ["web.base.url", "'http://localhost:8069'"],
];

/** Columns that hold keys of third-party services: their names in Odoo's modules. */
const CREDENTIAL =
  /^(?:google|microsoft|outlook|gmail|dropbox|onedrive|oauth|facebook|twitter|linkedin|youtube|instagram)_?.*(?:r?token|secret)$|^(?:calendar|drive)_(?:r?token|sync_token)$/;
const PROVIDER_KEY = /(?:_key|_secret|_token|_password|_signature|_passphrase|_credentials?)$/;

/**
 * The statements that make a copy of an Odoo database harmless, for any version of Odoo. Tables and columns that this
 * one lacks are left out. Pure.
 */
export function neutralizeStatements(columns: readonly Column[]): string[] {
  const tables = new Map<string, Map<string, Column>>();
  for (const column of columns) {
    const table = tables.get(column.table) ?? new Map<string, Column>();
    tables.set(column.table, table.set(column.column, column));
  }
  const statements = STEPS.filter(({ table, columns: needed }) => {
    const there = tables.get(table);
    return there !== undefined && needed.every((column) => there.has(column));
  }).map(({ sql }) => sql);
  for (const { table, column, nullable, text } of columns) {
    const isKey =
      CREDENTIAL.test(column) ||
      (["payment_provider", "payment_acquirer"].includes(table) && PROVIDER_KEY.test(column));
    // Names of Odoo's columns need no quotes; others are not Odoo's.
    if (!isKey || !nullable || !text || !/^[a-z_][a-z0-9_]*$/.test(`${table}${column}`)) continue;
    statements.push(`UPDATE public."${table}" SET "${column}" = NULL WHERE "${column}" IS NOT NULL`);
  }
  const parameters = tables.get("ir_config_parameter");
  if (parameters?.has("key")) {
    // Newer versions of Odoo note of each parameter what it holds, and need that.
    const [also, text] = parameters.has("type") ? [", type", ", 'str'"] : ["", ""];
    for (const [key, value] of IDENTITY) {
      statements.push(
        `INSERT INTO public.ir_config_parameter (key, value${also}) VALUES ('${key}', ${value}${text})
         ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value`,
      );
    }
  }
  return statements;
}
