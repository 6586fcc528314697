import type { Figures, Load } from "./load.ts";

/** The inputs of values. */
export interface Sizing {
  readonly figures: Figures;
  readonly load: Load;
  /** Major version of the server, where it is known: PostgreSQL's own values differ a little. */
  readonly major: number | undefined;
}

/** The same everywhere, or by machine and load. */
type Of<T> = T | ((sizing: Sizing) => T);

/** What a number without a unit counts, as in pg_settings. */
export type Unit = "8kB" | "kB" | "MB" | "ms" | "s";

interface Setting {
  readonly name: string;
  /** Whether a server takes it only when it starts. */
  readonly restart: boolean;
  /** Whether a replica must not have less than its primary runs with (PostgreSQL manual, Hot Standby). */
  readonly replicaSensitive?: true;
}

/** A setting that odoo-pg chooses, and the user may set otherwise. */
export interface DefaultSetting extends Setting {
  /** Undefined where PostgreSQL's own is right. */
  readonly value: Of<string | undefined>;
  readonly reason: Of<string>;
  /** PostgreSQL's default, where it matters. */
  readonly stock?: Of<string>;
  /** Whether a server on this machine takes the value; where it is left out, every one does. */
  readonly taken?: (by: Server) => boolean;
}

/** What a setting's value may need of a server. */
export interface Server {
  readonly major: number | undefined;
  /** As Node.js names it. */
  readonly platform: string;
}

/** One that `tune` compares with what runs. */
export interface AdvisedSetting extends DefaultSetting {
  readonly stock: Of<string>;
  /** Undefined for what has none. */
  readonly unit?: Unit;
  /** Other values that are as good: from here on, up to here. Without both, only `value` is. */
  readonly from?: Of<string>;
  readonly to?: Of<string>;
  /** Where each node has its own, by the size of its disk. */
  readonly ofDisk?: (diskBytes: number) => string;
}

/** A setting that is odoo-pg's alone. */
export interface ManagedSetting {
  readonly name: string;
  /** What sets it instead: the hint for a user who writes it as a parameter. */
  readonly instead: string;
  /** Where it is the same for all nodes. */
  readonly value?: string;
}

export function of<T extends string | undefined>(value: Of<T>, sizing: Sizing): T {
  return typeof value === "function" ? value(sizing) : value;
}
