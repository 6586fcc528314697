import { managedBy } from "./settings/managed.ts";

/**
 * A name of a PostgreSQL parameter, with at most one prefix (`auto_explain.log_min_duration`).
 * None starts with two underscores, and `__proto__` is no ordinary key of an object.
 */
const PARAMETER_NAME = /^(?!__)[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)?$/;

/** Whether odoo-pg itself writes a parameter, for each node its own. */
export function isManaged(name: string): boolean {
  return managedBy(name) !== undefined;
}

/** Why a parameter (its name in lower case) or its value is refused, as far as that can be told without a server. */
export function parameterProblem(name: string, value: string): string | undefined {
  if (!PARAMETER_NAME.test(name))
    return `${JSON.stringify(name)} cannot be the name of a PostgreSQL parameter`;
  const manager = managedBy(name);
  if (manager !== undefined) return `"${name}" cannot be set here: it is ${manager}`;
  if (name === "stats_temp_directory" && value.startsWith("/"))
    return "is an absolute path: the nodes of a host would write each other's files there";
  if (value.includes("\0")) return "holds a NUL byte, which no PostgreSQL parameter can";
  if (name === "wal_level" && !["replica", "logical"].includes(value.toLowerCase())) {
    return `is ${JSON.stringify(value)}: replicas need "replica" (the default) or "logical"`;
  }
  return undefined;
}

/** A value as postgresql.conf spells it: booleans are `on` and `off`. Undefined for what is not one value. */
export function parameterText(value: unknown): string | undefined {
  if (typeof value === "boolean") return value ? "on" : "off";
  return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
}
