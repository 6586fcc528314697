import { OdooPgError } from "../errors.ts";
import { readableBy, removeFile, writeFileAtomic, type Owner } from "../system/files/files.ts";
import { run } from "../system/process/process.ts";
import { programOf, type Installation } from "./installation.ts";

/**
 * Has the server's own parser read a configuration before anything uses it (`postgres -C` parses and starts nothing).
 * @throws OdooPgError parameter_invalid with the server's own words.
 */
export async function validateConfiguration(
  installation: Installation,
  text: string,
  place: string,
  owner: Owner | undefined,
): Promise<void> {
  const candidate = `${place}.candidate`;
  await writeFileAtomic(candidate, text, readableBy(owner));
  try {
    const ran = await run(
      programOf(installation, "postgres"),
      ["-C", "max_connections", "-c", `config_file=${candidate}`],
      { owner },
    );
    if (ran.exitCode === 0) return;
    throw new OdooPgError("parameter_invalid", {
      message: `PostgreSQL ${installation.major} refuses the configuration:\n${serverWords(ran.stderr, candidate)}`,
      safe: "Nothing was changed or restarted.",
      next: "Correct postgres.parameters in odoo-pg.yaml, or the PGSQL_ variable, then run the same command again.",
    });
  } finally {
    await removeFile(candidate);
  }
}

/** The lines that say what is wrong, without time, process id and the name of our temporary file. */
function serverWords(stderr: string, candidate: string): string {
  const lines = stderr
    .split("\n")
    .filter((line) => line.trim() && !/skipping missing configuration file|contains errors/.test(line))
    .map((line) =>
      line
        .replace(/^\d{4}-\d\d-\d\d [\d:.]+ \S+ \[\d+\] (?:LOG|FATAL|ERROR):\s+/, "")
        .replace(/^\d{4}-\d\d-\d\d [\d:.]+ \S+ \[\d+\] /, "")
        .replace(` in file "${candidate}"`, "")
        .replace(/ line \d+$/, ""),
    );
  return (lines.length ? lines : stderr.split("\n")).map((line) => `  ${line}`).join("\n");
}
