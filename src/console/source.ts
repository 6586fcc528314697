import type { ConsoleDocument, Sample } from "../cluster/documents/console.ts";

/** All that the page shows but the jobs: these the server knows. */
export type GatheredDocument = Omit<ConsoleDocument, "jobs">;

/** Who is told of what is new. */
export interface ConsoleListener {
  /** Called with a whole document when it is another one than before, at most once a second. */
  readonly document: (document: GatheredDocument) => void;
  /** Called with each new point of the graphs. */
  readonly sample: (sample: Sample) => void;
}

/** Where the console's server gets what it shows. Nothing is looked at while nobody asks. */
export interface ConsoleSource {
  /** The configuration file that commands have to name to meet this cluster; undefined where it is found without. */
  readonly configFile: () => string | undefined;
  /**
   * The present document, for everybody the same: what not everybody may see, the server takes out.
   * @throws OdooPgError not_running while nothing was applied.
   */
  readonly document: () => Promise<GatheredDocument>;
  /** The points of the last 24 hours, the oldest first, at most 2880. */
  readonly samples: () => Promise<readonly Sample[]>;
  /** Tells of what is new until the returned function is called. */
  readonly subscribe: (listener: ConsoleListener) => () => void;
}
