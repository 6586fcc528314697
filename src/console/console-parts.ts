import type { Log } from "../system/log.ts";
import type { Caller } from "../system/network/web.ts";
import type { OneTimeKeys } from "./access/one-time-keys.ts";
import type { ConsolePasswords } from "./access/passwords.ts";
import type { SignIns } from "./access/sign-ins.ts";
import type { Tries } from "./access/tries.ts";
import type { Downloads } from "./downloads.ts";
import type { Feed } from "./feed.ts";
import type { GivenSecret } from "./given-secret.ts";
import type { Jobs } from "./jobs.ts";
import type { PageFile } from "./page-files.ts";
import type { Readings } from "./readings.ts";
import type { Board, ConsoleSource } from "./source.ts";
import type { Uploads } from "./uploads.ts";

/** What a request of a listener carries beside itself. */
export type Env = { Bindings: Caller };

/** What all listeners of a console share. */
export interface ConsoleParts {
  readonly cluster: string;
  readonly readOnly: boolean;
  readonly source: ConsoleSource;
  readonly feed: Feed;
  readonly jobs: Jobs;
  readonly readings: Readings;
  readonly downloads: Downloads;
  readonly uploads: Uploads;
  readonly secrets: GivenSecret;
  readonly signIns: SignIns;
  readonly keys: OneTimeKeys;
  readonly tries: Tries;
  /** Read at each use, so that a change of a file changes the password. */
  readonly passwords: () => Promise<ConsolePasswords>;
  readonly page: { readonly files: readonly PageFile[]; readonly policy: string };
  readonly board: Board | undefined;
  /** Prometheus' text; undefined where there is none. */
  readonly metrics: (() => Promise<string>) | undefined;
  readonly log: Log;
}
