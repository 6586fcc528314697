import type { Config } from "../schema.ts";
import { ADVISED, LEAST_CONNECTIONS } from "./advised.ts";
import { planLoad, type Figures, type Load } from "./load.ts";
import { PLAIN, STATEMENT_COUNTS } from "./plain.ts";
import {
  of,
  type AdvisedSetting,
  type DefaultSetting,
  type Server,
  type Sizing,
  type Unit,
} from "./setting.ts";

/** All settings that odoo-pg chooses. Those that are its own alone: managed.ts. */
export const DEFAULTS: readonly Default[] = [...PLAIN, ...ADVISED];

type Default = DefaultSetting & Pick<Partial<AdvisedSetting>, "ofDisk">;

/** Settings that a replica must have at least as high as its primary. */
export const REPLICA_SENSITIVE: readonly string[] = DEFAULTS.flatMap(({ name, replicaSensitive }) =>
  replicaSensitive ? [name] : [],
);

/** PostgreSQL's default for a setting, as far as it is known here. */
export function stockOf(name: string): string | undefined {
  const stock = DEFAULTS.find((setting) => setting.name === name)?.stock;
  return typeof stock === "string" ? stock : undefined;
}

/** One PostgreSQL setting as it should be for a machine and a load. */
export interface TunedSetting {
  readonly name: string;
  /** As it stands in odoo-pg.yaml. */
  readonly value: string;
  readonly unit: Unit | undefined;
  /** Other values that are as good: from here on, up to here. Without both, only `value` is. */
  readonly from: string | undefined;
  readonly to: string | undefined;
  /** PostgreSQL's default. */
  readonly stock: string;
  readonly restart: boolean;
  readonly reason: string;
}

/** The settings that `tune` compares with what runs. */
export function tunedSettings(figures: Figures, load: Load, major: number | undefined): TunedSetting[] {
  const sizing = { figures, load, major };
  return ADVISED.flatMap(({ name, unit, from, to, restart, ...setting }) => {
    const value = of(setting.value, sizing);
    if (value === undefined) return [];
    return [
      {
        name,
        value,
        unit,
        from: from === undefined ? undefined : of(from, sizing),
        to: to === undefined ? undefined : of(to, sizing),
        stock: of(setting.stock, sizing),
        restart,
        reason: of(setting.reason, sizing),
      },
    ];
  });
}

/** Values by the name of the setting. */
export type Settings = Readonly<Record<string, string>>;

/**
 * A cluster keeps what was chosen for it when it was made: another machine, a further node or a later odoo-pg restarts no
 * server, and gives no node less memory than its load is used to. `tune` says what would be chosen now.
 */
function isKept({ value, restart, ofDisk }: Default): boolean {
  return restart || (typeof value === "function" && ofDisk === undefined);
}

/**
 * What a cluster that is made now on this machine is given, to be kept in its record.
 * @param libraries that its servers can load
 */
export function settingsToKeep(
  figures: Figures,
  major: number | undefined,
  libraries: readonly string[] = [],
): Settings {
  const sizing: Sizing = { figures, load: planLoad(figures, {}), major };
  return Object.fromEntries(
    DEFAULTS.filter(isKept).flatMap((setting) => {
      const value = of(setting.value, sizing);
      // A server does not start with a library that is not there.
      if (value === STATEMENT_COUNTS && !libraries.includes(value)) return [];
      return value === undefined ? [] : [[setting.name, value] as const];
    }),
  );
}

/** Connections that each node takes. */
export function maxConnections(config: Pick<Config, "postgres">, kept: Settings): number {
  const own = Number(config.postgres.parameters["max_connections"] ?? kept["max_connections"]);
  return Number.isInteger(own) && own > 0 ? own : LEAST_CONNECTIONS;
}

/** A value that is chosen, and why. */
export interface Chosen {
  readonly value: string;
  readonly why: string;
}

/**
 * What odoo-pg chooses for a node before the user's own parameters are laid over it.
 * @param kept as the cluster's record has it
 * @param server what it is, and the size of the disk that holds its data
 */
export function defaultSettings(
  kept: Settings,
  server: Server & { readonly diskBytes: number },
): Record<string, Chosen> {
  const chosen = DEFAULTS.flatMap((setting): [string, Chosen][] => {
    const { name, reason } = setting;
    if (setting.taken?.(server) === false) return [];
    const value = isKept(setting) ? kept[name] : nodeValue(setting, server.diskBytes);
    if (value === undefined) return [];
    return [[name, { value, why: typeof reason === "string" ? reason : SIZED }]];
  });
  return Object.fromEntries(chosen);
}

const SIZED = "for the machine that the cluster was created on; for the present one: odoo-pg tune";

function nodeValue({ value, ofDisk }: Default, diskBytes: number): string | undefined {
  if (ofDisk) return ofDisk(diskBytes);
  return typeof value === "function" ? undefined : value;
}
