import * as z from "zod";
import { OdooPgError } from "../errors.ts";
import type { Reading } from "../model/console-readings.ts";
import { parseJson } from "../system/files/json-file.ts";
import { run } from "../system/process/process.ts";

/** Any document: the page knows what it asked for. */
const documentSchema = z.record(z.string(), z.unknown());

/** Commands that read for pages at the same time, and milliseconds that one may take. */
const RUNNING = 4;
const TIMEOUT = 30_000;

/** Lines of a log that are shown. */
const LOG_LINES = 500;

/**
 * The origin of a value is not recorded with what was applied: only the file has it. The same is true of settings that
 * were written, or accepted, and not applied yet.
 */
const BY_FILE: readonly Reading["what"][] = ["settings", "alarms", "advice"];

interface ReadingsOptions {
  readonly stateDir: string;
  /** How to start odoo-pg again. */
  readonly program: readonly [string, string];
  /** The configuration file that commands must name to reach this cluster. */
  readonly configFile: () => string | undefined;
}

/** Reads what the parts behind the first page show, by running the commands that print it. They change nothing. */
export class Readings {
  readonly #options: ReadingsOptions;
  #running = 0;

  constructor(options: ReadingsOptions) {
    this.#options = options;
  }

  /**
   * @returns the document of the command, which may report an error as all documents do
   * @throws OdooPgError refused while too many read, timed_out, internal for output that is no document
   */
  async read(reading: Reading): Promise<object> {
    if (this.#running >= RUNNING)
      throw new OdooPgError("refused", {
        message: "Others are reading already.",
        next: "Try again in a moment.",
      });
    this.#running += 1;
    try {
      const [node, script] = this.#options.program;
      const { stdout } = await run(node, [script, ...this.#commandLine(reading)], { timeout: TIMEOUT });
      return documentOf(stdout);
    } finally {
      this.#running -= 1;
    }
  }

  #commandLine(reading: Reading): readonly string[] {
    const { stateDir, configFile } = this.#options;
    const args = argumentsOfReading(reading);
    const file = configFile();
    if (BY_FILE.includes(reading.what) && file !== undefined) return [...args, "--config", file];
    return ["as-applied", "--state-dir", stateDir, "--", ...args];
  }
}

/** The command of each reading, as its arguments after `odoo-pg`. */
function argumentsOfReading(reading: Reading): readonly string[] {
  let args: readonly string[];
  switch (reading.what) {
    case "doctor":
      args = ["doctor", "--json"];
      break;
    case "settings":
      args = ["config", "show", "--json"];
      break;
    case "advice":
      args = ["tune", "--json"];
      break;
    case "roles":
      args = ["role", "list", "--json"];
      break;
    case "alarms":
      args = ["alarms", "list", "--json"];
      break;
    case "backups":
      args = ["backup", "list", "--json"];
      break;
    case "statements":
      args = ["statements", "list", "--json"];
      break;
    case "changes":
      args = ["statements", "changes", "--json"];
      break;
    case "plan":
      args = ["statements", "plan", "--json", reading.id];
      break;
    case "log": {
      const { of, match = "" } = reading;
      const only = match === "" ? [] : [`--match=${match}`];
      args = ["logs", "--json", `--lines=${LOG_LINES}`, ...only, ...(of.startsWith("-") ? ["--", of] : [of])];
      break;
    }
  }
  return args;
}

function documentOf(text: string): object {
  const document = parseJson(text, documentSchema);
  if (document.ok) return document.value;
  throw new OdooPgError("internal", { message: `A command printed no document: ${document.problem}.` });
}
