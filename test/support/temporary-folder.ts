import { chmodSync, mkdtempSync } from "node:fs";
import { inject } from "vitest";
import { watchFolder } from "./scope.ts";

/**
 * A folder of its own for the present test (or, in beforeAll, the test file): a short path, open to the user that
 * runs the servers. At the end nothing may use it any more; it is removed.
 */
export function temporaryFolder(): string {
  const folder = mkdtempSync(`${inject("runFolder")}/`);
  chmodSync(folder, 0o755);
  watchFolder(folder);
  return folder;
}
