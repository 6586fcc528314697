import path from "node:path";
import type { Answer } from "../../services/service.ts";
import { pause } from "../../system/clock.ts";
import { ensureDirectory, writeFileIfChanged } from "../../system/files/files.ts";
import { Overtaken, type Leading } from "../decisions/primary/overtaken.ts";
import { API_PORT } from "../documents/places.ts";
import { renderRevocationCheck } from "../render/revocation-check.ts";
import { HostProgram, type ProgramParts } from "./host-program.ts";

/** Milliseconds for its threads to write where they are. */
const TELLING = 300;

/** The Patroni of this host. Only it starts and stops the host's PostgreSQL, which outlives a killed Patroni. */
export class PatroniService extends HostProgram {
  readonly #mayRun: () => Promise<boolean>;
  readonly #whoLeads: () => Leading;
  readonly #overtaken = new Overtaken();
  /** Whether it was started here and has not answered yet. */
  #isNew = false;
  /** As when it was last asked. */
  #hangs = false;

  /**
   * @param mayRun whether it has a complete data directory, and its files are written
   * @param whoLeads the newest observation of this host's server and of the leader
   */
  constructor(parts: ProgramParts, mayRun: () => Promise<boolean>, whoLeads: () => Leading) {
    super(parts, {
      name: "patroni",
      processFile: parts.files.patroniProcess,
      logFile: parts.files.patroniStartLog,
      revokedFile: parts.files.patroniRevoked,
      port: API_PORT,
      question: { method: "GET", path: "/patroni" },
      // It stops its server too.
      stopTimeout: 120_000,
      safe: "A server that runs goes on.",
    });
    this.#mayRun = mayRun;
    this.#whoLeads = whoLeads;
  }

  protected async isWanted(): Promise<boolean> {
    return await this.#mayRun();
  }

  protected async prepare(): Promise<readonly string[]> {
    const { files, owner } = this.parts;
    await ensureDirectory(files.logDir, { mode: 0o700, owner });
    await ensureDirectory(files.patroniPython, { mode: 0o755 });
    await writeFileIfChanged(
      path.join(files.patroniPython, "sitecustomize.py"),
      renderRevocationCheck(files),
      {
        mode: 0o644,
      },
    );
    this.#isNew = true;
    this.#overtaken.forget();
    return [files.patroniConfig];
  }

  protected override get environment(): Readonly<Record<string, string>> {
    return { PYTHONPATH: this.parts.files.patroniPython };
  }

  async reload(): Promise<void> {
    await this.daemon.signal("SIGHUP");
  }

  /** Before a hung Patroni is ended, it writes where it hangs into patroni.start.log: else nobody could find out. */
  override async stop(mode: "fast" | "immediate"): Promise<readonly number[]> {
    if (mode === "immediate" && this.#hangs) {
      await this.daemon.signal("SIGUSR2");
      await pause(TELLING);
    }
    return await super.stop(mode);
  }

  override async probe(): Promise<Answer> {
    const answer = await this.#answer();
    this.#hangs = answer === "silent";
    return answer;
  }

  async #answer(): Promise<Answer> {
    const answer = await super.probe();
    if (answer !== "answers") return answer;
    // Of a replica that ran already it uses the running settings, not those of its file, until it reads the file again.
    if (this.#isNew) await this.reload();
    this.#isNew = false;
    // Its API has a thread of its own, and answers even while the thread that demotes the server hangs.
    return this.#overtaken.lasts(this.#whoLeads()) ? "silent" : answer;
  }
}
