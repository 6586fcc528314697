import type { Alarm, Trouble } from "./trouble.ts";
import { ACCESS } from "./access.ts";
import { BACKUPS } from "./backups.ts";
import { CLUSTER } from "./cluster.ts";
import { CONNECTIONS } from "./connections.ts";
import { DISKS } from "./disks.ts";
import { ENDPOINTS_AND_AGENT } from "./endpoints-and-agent.ts";
import { HOSTS } from "./hosts.ts";
import { INTEGRITY } from "./integrity.ts";
import { ODOO_CONF } from "./odoo-conf.ts";
import { ODOO_DATABASES } from "./odoo-databases.ts";
import { ODOO_WORK } from "./odoo-work.ts";
import { REPLICATION } from "./replication.ts";
import { ROLES } from "./roles.ts";
import { SESSIONS_AND_TABLES } from "./sessions-and-tables.ts";
import { VACUUM } from "./vacuum.ts";
import { VERSIONS } from "./versions.ts";

/** The registry by subject, in the order of the documents. */
export const SUBJECTS: readonly {
  readonly title: string;
  readonly troubles: Readonly<Record<string, Trouble>>;
}[] = [
  { title: "The cluster", troubles: CLUSTER },
  { title: "Several hosts", troubles: HOSTS },
  { title: "Endpoints and agent", troubles: ENDPOINTS_AND_AGENT },
  { title: "Odoo's configuration", troubles: ODOO_CONF },
  { title: "Connections", troubles: CONNECTIONS },
  { title: "Roles", troubles: ROLES },
  { title: "Odoo's databases", troubles: ODOO_DATABASES },
  { title: "Replication", troubles: REPLICATION },
  { title: "Backups and archive", troubles: BACKUPS },
  { title: "Disks", troubles: DISKS },
  { title: "Integrity", troubles: INTEGRITY },
  { title: "Vacuum", troubles: VACUUM },
  { title: "Sequences, indexes, sessions", troubles: SESSIONS_AND_TABLES },
  { title: "Who gets in", troubles: ACCESS },
  { title: "Versions and clocks", troubles: VERSIONS },
  { title: "Odoo at work", troubles: ODOO_WORK },
];

/**
 * Everything that can be wrong, declared once, under one name: status, doctor, alarms, metrics, the rules for Prometheus
 * and the documents are made from it.
 */
const TROUBLES = {
  ...CLUSTER,
  ...HOSTS,
  ...ENDPOINTS_AND_AGENT,
  ...ODOO_CONF,
  ...CONNECTIONS,
  ...ROLES,
  ...ODOO_DATABASES,
  ...REPLICATION,
  ...BACKUPS,
  ...DISKS,
  ...INTEGRITY,
  ...VACUUM,
  ...SESSIONS_AND_TABLES,
  ...ACCESS,
  ...VERSIONS,
  ...ODOO_WORK,
};

type Troubles = typeof TROUBLES;

export type TroubleCode = keyof Troubles;

type FoundBy<Who extends string> = {
  [Code in TroubleCode]: Who extends Troubles[Code]["foundBy"][number] ? Code : never;
}[TroubleCode];

/** What status warns of. */
export type WarningCode = FoundBy<"status">;
/** What doctor finds. */
export type FindingCode = FoundBy<"doctor">;
/** What rings as an alarm, for itself or for others too. */
export type AlarmName = {
  [Code in TroubleCode]: Troubles[Code] extends { readonly alarm: Alarm } ? Code : never;
}[TroubleCode];

export function troubleOf(code: TroubleCode): Trouble {
  return TROUBLES[code];
}

export function isTroubleCode(text: string): text is TroubleCode {
  return Object.hasOwn(TROUBLES, text);
}

export function isWarningCode(text: string): text is WarningCode {
  return isTroubleCode(text) && troubleOf(text).foundBy.includes("status");
}

export function isFindingCode(text: string): text is FindingCode {
  return isTroubleCode(text) && troubleOf(text).foundBy.includes("doctor");
}

export function isAlarmName(text: string): text is AlarmName {
  return isTroubleCode(text) && typeof troubleOf(text).alarm === "object";
}

const CODES: readonly TroubleCode[] = Object.keys(TROUBLES).filter(isTroubleCode);

export const troubleCodes = (): readonly TroubleCode[] => CODES;
export const warningCodes = (): WarningCode[] => CODES.filter(isWarningCode);
export const findingCodes = (): FindingCode[] => CODES.filter(isFindingCode);
export const alarmNames = (): AlarmName[] => CODES.filter(isAlarmName);

/** The alarm that rings for a trouble: its own, or that of the wider trouble which it belongs to. */
export function alarmFor(code: TroubleCode): AlarmName | undefined {
  const { alarm } = troubleOf(code);
  const name = typeof alarm === "string" ? alarm : code;
  return isAlarmName(name) ? name : undefined;
}

export function alarmOf(name: AlarmName): Alarm {
  return TROUBLES[name].alarm;
}

/** The name that an alarm has now, by the one that it had in version 0.1; undefined where that is no such name. */
export function renamedAlarm(former: string): AlarmName | undefined {
  return alarmNames().find((name) => alarmOf(name).formerly === former);
}

/** From which share on a disk, connections or the like count. @returns 0 to 1 */
export function shareOf(code: TroubleCode): number {
  return (troubleOf(code).threshold?.value ?? 100) / 100;
}
