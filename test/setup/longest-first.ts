import { BaseSequencer, type TestSpecification } from "vitest/node";

/** The files that take longest, in that order: seconds of one run on two cores. */
export const LONGEST = [
  "test/console/browser/cluster.test.ts",
  "test/console/browser/actions.test.ts",
  "test/faults/disk-hangs.test.ts",
  "test/console/browser/accessibility.test.ts",
  "test/faults/switchover.test.ts",
  "test/faults/copies.test.ts",
  "test/faults/read-your-writes.test.ts",
  "test/faults/crashes.test.ts",
  "test/faults/links.test.ts",
  "test/console/browser/hosts-page.test.ts",
  "test/faults/pooling.test.ts",
  "test/faults/waiting.test.ts",
  "test/archive/copying/branches.test.ts",
  "test/restore/window.test.ts",
  "test/archive/copying/cut-off.test.ts",
  "test/archive/copying/copying.test.ts",
  "test/integration/configuration.test.ts",
  "test/security/hostile-owner.test.ts",
  "test/restore/command.test.ts",
  "test/advice/doctor-databases.test.ts",
  "test/security/servers-user.test.ts",
  "test/restore/restore.test.ts",
  "test/backup/create.test.ts",
  "test/backup/bad-days.test.ts",
  "test/restore/matrix.test.ts",
  "test/console/gather/live.test.ts",
  "test/advice/doctor-cluster.test.ts",
  "test/integration/upstream.test.ts",
  "test/integration/faults.test.ts",
  "test/alarms/cluster.test.ts",
  "test/restore/strange-files.test.ts",
  "test/integration/bad-input.test.ts",
  "test/integration/interrupted-up.test.ts",
  "test/backup/commands.test.ts",
  "test/endpoints/balancer/process.test.ts",
  "test/endpoints/balancer/waiting.test.ts",
  "test/console/console.test.ts",
  "test/integration/down.test.ts",
  "test/security/damaged-files.test.ts",
  "test/restore/bad-days.test.ts",
  "test/integration/tablespaces.test.ts",
  "test/security/network.test.ts",
  "test/integration/hints.test.ts",
  "test/integration/commands.test.ts",
  "test/backup/hostile-database.test.ts",
] as const;

/** Starts the longest files first, so that no worker is left alone with one of them at the end. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const index = LONGEST.findIndex((file) => moduleId.endsWith(`/${file}`));
      return index === -1 ? LONGEST.length : index;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}
