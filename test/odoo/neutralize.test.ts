import { expect, test } from "vitest";
import { type Column, neutralizeStatements } from "../../src/odoo/neutralize.ts";

function columns(tables: Readonly<Record<string, readonly string[]>>, nullable = true): Column[] {
  return Object.entries(tables).flatMap(([table, names]) =>
    names.map((column) => ({ table, column, nullable, text: true })),
  );
}

test("tables and columns that this Odoo lacks are left out", () => {
  expect(neutralizeStatements([])).toEqual([]);
  expect(neutralizeStatements(columns({ ir_cron: ["id", "active"] }))).toEqual([
    "UPDATE public.ir_cron SET active = false WHERE active",
  ]);
  expect(neutralizeStatements(columns({ ir_cron: ["id"], delivery_carrier: ["name"] }))).toEqual([]);
});

test("keys of payment providers and tokens of calendars are cleared, where they may be empty", () => {
  const tables = {
    payment_provider: ["state", "stripe_secret_key", "adyen_api_key", "paypal_email_account", "name"],
    res_users_settings: ["google_calendar_rtoken", "google_calendar_token", "microsoft_calendar_sync_token"],
    product_product: ["combination_key", "access_token"],
  };
  const cleared = neutralizeStatements(columns(tables)).flatMap(
    (statement) => /^UPDATE public\."(\w+)" SET "(\w+)" = NULL/.exec(statement)?.slice(1, 3).join(".") ?? [],
  );
  expect(cleared).toEqual([
    "payment_provider.stripe_secret_key",
    "payment_provider.adyen_api_key",
    "res_users_settings.google_calendar_rtoken",
    "res_users_settings.google_calendar_token",
    "res_users_settings.microsoft_calendar_sync_token",
  ]);
  expect(neutralizeStatements(columns({ res_users_settings: ["google_calendar_rtoken"] }, false))).toEqual(
    [],
  );
});

test("a copy is marked, and is a database of its own", () => {
  const statements = neutralizeStatements(columns({ ir_config_parameter: ["key", "value"] })).join("\n");
  for (const key of ["database.is_neutralized", "database.uuid", "database.secret", "database.create_date"])
    expect(statements).toContain(`'${key}'`);
});
