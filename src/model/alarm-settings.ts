import { alarmOf, renamedAlarm, troubleOf, type AlarmName } from "./troubles/troubles.ts";

/** What the configuration may say of an alarm. */
export interface RuleSetting {
  readonly enabled?: boolean | undefined;
  readonly after_seconds?: number | undefined;
  readonly ends_after_seconds?: number | undefined;
  readonly threshold?: number | undefined;
}

/** Alarms with what the configuration says of them, by name, or by the name of version 0.1. */
export type RuleSettings = Readonly<Record<string, RuleSetting>>;

function settingOf(settings: RuleSettings, name: AlarmName): RuleSetting | undefined {
  const { formerly } = alarmOf(name);
  return settings[name] ?? (formerly === undefined ? undefined : settings[formerly]);
}

/** Names of version 0.1 in the configuration, each with the name that it has now. */
export function formerNames(settings: RuleSettings): { readonly former: string; readonly name: AlarmName }[] {
  return Object.keys(settings).flatMap((former) => {
    const name = renamedAlarm(former);
    return name === undefined ? [] : [{ former, name }];
  });
}

export function isEnabled(settings: RuleSettings, name: AlarmName): boolean {
  return settingOf(settings, name)?.enabled ?? true;
}

/** Seconds that it must last before it is sent. */
export function afterSeconds(settings: RuleSettings, name: AlarmName): number {
  return settingOf(settings, name)?.after_seconds ?? alarmOf(name).afterSeconds;
}

/** Seconds that it must be gone before its end is sent. */
export function endsAfterSeconds(settings: RuleSettings, name: AlarmName): number {
  return settingOf(settings, name)?.ends_after_seconds ?? alarmOf(name).endsAfterSeconds;
}

/** From where on a figure counts, and below what it counts as gone. */
export function edgesOf(settings: RuleSettings, name: AlarmName): { from: number; below: number } {
  const { threshold } = troubleOf(name);
  const from = settingOf(settings, name)?.threshold ?? threshold?.value ?? 0;
  // A threshold below its margin would never be gone.
  return { from, below: Math.max(from / 2, from - (threshold?.margin ?? 0)) };
}

/** The mistakes in an alarm's configuration. */
export function ruleProblem(name: AlarmName, setting: RuleSetting): string | undefined {
  const { threshold } = troubleOf(name);
  if (setting.threshold !== undefined && !threshold) return `"${name}" has no threshold`;
  if (setting.threshold !== undefined && threshold?.unit === "%" && setting.threshold >= 100)
    return `the threshold is a share in %: it must be below 100`;
  if ((setting.after_seconds ?? setting.ends_after_seconds) !== undefined && alarmOf(name).isEvent)
    return `"${name}" is reported when it happens: it does not last`;
  return undefined;
}
