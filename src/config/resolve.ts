import { OdooPgError } from "../errors.ts";
import type { Origins } from "./origins.ts";
import type { Secrets } from "./passwords.ts";
import { type Config } from "./schema.ts";
import { type Surroundings } from "./state-dir.ts";

export interface ConfigSources {
  /** The configuration file, if there is one; `path` is what messages and origins call it. */
  readonly file?: { readonly path: string; readonly text: string } | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly defaults: Surroundings;
}

export interface ResolvedConfig {
  readonly config: Config;
  readonly origins: Origins;
  readonly secrets: Secrets;
}

export function resolveConfig(_sources: ConfigSources): ResolvedConfig {
  throw new OdooPgError("internal", { message: "resolveConfig is being written" });
}
