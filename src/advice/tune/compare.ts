import type { Unit } from "../../config/settings/setting.ts";
import type { TunedSetting } from "../../config/settings/table.ts";

/** Units of postgresql.conf: of memory in bytes, of time in milliseconds (PostgreSQL manual, "Parameter Names and Values"). */
const FACTORS: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1024,
  "8kB": 8192,
  MB: 1024 ** 2,
  GB: 1024 ** 3,
  TB: 1024 ** 4,
  us: 0.001,
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Settings for which a negative number means that there is no limit. */
const UNLIMITED_BELOW_ZERO = ["max_slot_wal_keep_size", "max_standby_streaming_delay"];

/** Whether a value, as a server or a configuration has it, is as good as the tuned one. */
export function isTuned(setting: TunedSetting, value: string): boolean {
  if (setting.value === value) return true;
  const number = numberOf(setting, value);
  const wanted = numberOf(setting, setting.value);
  if (number === undefined || wanted === undefined) return truth(value) === truth(setting.value);
  if (number === wanted) return true;
  if (setting.from === undefined && setting.to === undefined) return false;
  const from = setting.from === undefined ? -Infinity : (numberOf(setting, setting.from) ?? -Infinity);
  const to = setting.to === undefined ? Infinity : (numberOf(setting, setting.to) ?? Infinity);
  return from <= number && number <= to;
}

function numberOf({ name, unit }: TunedSetting, value: string): number | undefined {
  const number = parseSetting(value, unit);
  return number !== undefined && number < 0 && UNLIMITED_BELOW_ZERO.includes(name) ? Infinity : number;
}

/** A number with or without a unit, in bytes, milliseconds, or as it is. Undefined for everything else. */
export function parseSetting(value: string, unit: Unit | undefined): number | undefined {
  const [, amount, written] = /^\s*([+-]?\d*\.?\d+(?:e[+-]?\d+)?)\s*([A-Za-z]*)\s*$/.exec(value) ?? [];
  if (amount === undefined || written === undefined) return undefined;
  const factor = written === "" ? (unit === undefined ? 1 : FACTORS[unit]) : FACTORS[written];
  return factor === undefined ? undefined : Number(amount) * factor;
}

function truth(value: string): string {
  const word = value.trim().toLowerCase();
  if (["on", "true", "yes", "1"].includes(word)) return "on";
  return ["off", "false", "no", "0"].includes(word) ? "off" : word;
}
