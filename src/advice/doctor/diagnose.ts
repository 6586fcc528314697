import { checkBackups } from "./checks/backups.ts";
import { checkClock } from "./checks/clock.ts";
import { checkConnections } from "./checks/connections.ts";
import { checkDatabases } from "./checks/databases.ts";
import { checkDisk } from "./checks/disk.ts";
import { checkHosts } from "./checks/hosts.ts";
import { checkIndexes } from "./checks/indexes.ts";
import { checkIntegrity } from "./checks/integrity.ts";
import { checkOdooConf } from "./checks/odoo-conf.ts";
import { checkReplication } from "./checks/replication.ts";
import { checkRoles } from "./checks/roles.ts";
import { checkSequences } from "./checks/sequences.ts";
import { checkSessions } from "./checks/sessions.ts";
import { checkSettings } from "./checks/settings.ts";
import { checkTlsAndHba } from "./checks/tls-and-hba.ts";
import { checkVacuum } from "./checks/vacuum.ts";
import { checkVersions } from "./checks/versions.ts";
import type { Evidence } from "./evidence.ts";
import type { TroubleSeverity } from "../../model/troubles/trouble.ts";
import type { FoundFinding } from "./findings.ts";

/** The findings of one subject, from the evidence. Evidence that is missing makes no finding, and no all-clear either. */
type Check = (evidence: Evidence) => FoundFinding[];

const CHECKS: readonly Check[] = [
  checkSettings,
  checkHosts,
  checkIntegrity,
  checkTlsAndHba,
  checkRoles,
  checkDisk,
  checkReplication,
  checkBackups,
  checkVacuum,
  checkConnections,
  checkOdooConf,
  checkDatabases,
  checkSequences,
  checkSessions,
  checkIndexes,
  checkClock,
  checkVersions,
];

const RANK: Readonly<Record<TroubleSeverity, number>> = { critical: 0, warning: 1, advice: 2 };

/** Everything that is not as it should be, the worst first. Pure: the same evidence always gives the same findings. */
export function diagnose(evidence: Evidence): FoundFinding[] {
  return CHECKS.flatMap((check) => check(evidence)).sort((a, b) => RANK[a.severity] - RANK[b.severity]);
}
