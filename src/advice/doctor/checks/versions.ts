import { nextStep, odooPg } from "../../../next-step.ts";
import { showSeconds } from "../../../model/quantities.ts";
import { numberOf, serversSeen, settingOf, tellsForAll, type Evidence } from "../evidence.ts";
import { finding, type FoundFinding } from "../findings.ts";

/**
 * The day of the last release of each major version.
 * Source: PostgreSQL versioning policy, https://www.postgresql.org/support/versioning/
 */
export const FINAL_RELEASES: ReadonlyMap<number, string> = new Map([
  [13, "2025-11-13"],
  [14, "2026-11-12"],
  [15, "2027-11-11"],
  [16, "2028-11-09"],
  [17, "2029-11-08"],
  [18, "2030-11-14"],
]);

const DAY_MS = 86_400_000;
const SOON_DAYS = 183;

/** Whether PostgreSQL is still cared for, and the same on all nodes. */
export function checkVersions(evidence: Evidence): FoundFinding[] {
  return [...endOfLife(evidence), ...differences(evidence)];
}

function endOfLife(evidence: Evidence): FoundFinding[] {
  const majors = new Set(
    serversSeen(evidence).flatMap((server) => {
      const version = numberOf(server, "server_version_num");
      return version === undefined ? [] : [Math.floor(version / 10_000)];
    }),
  );
  return [...majors].flatMap((major) => {
    const last = FINAL_RELEASES.get(major);
    if (last === undefined) return [];
    const left = (Date.parse(last) - evidence.now) / DAY_MS;
    if (left > SOON_DAYS) return [];
    const figures = { major_version: major, final_release: last };
    const upgrade = nextStep`make a backup, and restore it into a cluster of a newer version (docs/operations.md, “Upgrade”): ${odooPg("backup", "create", "--all")}`;
    if (left <= 0) {
      return [
        finding("major_version_ended", {
          message: `PostgreSQL ${major} had its last release on ${last}: its security holes are no longer fixed.`,
          evidence: figures,
          next: upgrade,
        }),
      ];
    }
    return [
      finding("major_version_ends_soon", {
        message: `PostgreSQL ${major} has its last release on ${last}, in ${showSeconds((left * DAY_MS) / 1000)}.`,
        evidence: figures,
        next: upgrade,
      }),
    ];
  });
}

function differences(evidence: Evidence): FoundFinding[] {
  const versions = serversSeen(evidence).flatMap((server) => {
    const version = settingOf(server, "server_version");
    return version === undefined ? [] : [{ name: server.name, version: version.split(" ")[0] ?? version }];
  });
  if (evidence.hosts && tellsForAll(evidence))
    for (const { name, version } of evidence.hosts.others)
      if (version !== undefined) versions.push({ name, version: version.split(" ")[0] ?? version });
  if (new Set(versions.map(({ version }) => version)).size < 2) return [];
  return [
    finding("node_versions_differ", {
      message: `The nodes run different versions: ${versions.map(({ name, version }) => `${name} ${version}`).join(", ")}.`,
      evidence: Object.fromEntries(versions.map(({ name, version }) => [name, version])),
      next: evidence.hosts
        ? nextStep`install the newest minor version on all hosts, then, on one of them: ${odooPg("restart")}`
        : nextStep`install the newest minor version on all hosts, then stop and start: ${odooPg("down")}`,
    }),
  ];
}
