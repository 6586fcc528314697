import { OdooPgError } from "../../src/errors.ts";
import { type ConfigSources, type ResolvedConfig, resolveConfig } from "../../src/config/resolve.ts";

export const LINUX_USER = { isRoot: false, home: "/home/ann", platform: "linux" };

/** Resolves a file of this text, with nothing in the environment unless given. */
export function resolveText(text: string, env: ConfigSources["env"] = {}): ResolvedConfig {
  return resolveConfig({ file: { path: "odoo-pg.yaml", text }, env, defaults: LINUX_USER });
}

export function resolveEnvironment(env: ConfigSources["env"]): ResolvedConfig {
  return resolveConfig({ env, defaults: LINUX_USER });
}

/** The lines of the message that resolving ends with. */
export function problemsFrom(resolve: () => ResolvedConfig): string[] {
  try {
    resolve();
  } catch (error) {
    if (error instanceof OdooPgError && error.code === "config_invalid") return error.message.split("\n");
    throw error;
  }
  return [];
}

export function problemsIn(text: string, env: ConfigSources["env"] = {}): string[] {
  return problemsFrom(() => resolveText(text, env));
}
