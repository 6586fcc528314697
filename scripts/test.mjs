// Runs all tests, or those that the arguments (of vitest) name; ends with the line "N passed, N failed".
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "odoo-pg-test-"));
const report = join(folder, "report.json");

const child = spawn(
  process.execPath,
  [
    join(root, "node_modules/vitest/vitest.mjs"),
    "run",
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${report}`,
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: "inherit" },
);
// vitest gets Ctrl-C from the terminal itself; this waits until it has cleared away.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => child.kill("SIGTERM"));

child.on("close", (status) => {
  const { passed, failed } = count(status);
  for (const line of secondTries()) console.log(line);
  rmSync(folder, { recursive: true, force: true });
  if (passed + failed === 0) console.error("No test ran.");
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = status === 0 && failed === 0 && passed > 0 ? 0 : status || 1;
});

/**
 * What goes wrong outside of any test (a file that cannot be loaded, a leak that is found at the end) counts as failed
 * too.
 * @param {number | null} status exit status of vitest
 */
function count(status) {
  const result = readReport();
  const passed = result?.numPassedTests ?? 0;
  const failedFiles = (result?.testResults ?? []).filter(
    (file) => file.status === "failed" && file.assertionResults.every((test) => test.status !== "failed"),
  );
  const failed = (result?.numFailedTests ?? 0) + failedFiles.length;
  return { passed, failed: status !== 0 && failed === 0 && passed > 0 ? 1 : failed };
}

/** What failed once and passed then: it is to be mended, and this says what it was. A line each. */
function secondTries() {
  return (readReport()?.testResults ?? []).flatMap((file) =>
    file.assertionResults
      .filter(({ status, failureMessages }) => status === "passed" && failureMessages.length > 0)
      .map(
        ({ fullName, failureMessages: [first] }) =>
          `SECOND TRY ${relative(root, file.name)} > ${fullName}: ${first.split("\n    at ")[0].replaceAll("\n", " | ")}`,
      ),
  );
}

function readReport() {
  try {
    return JSON.parse(readFileSync(report, "utf8"));
  } catch {
    return undefined;
  }
}
