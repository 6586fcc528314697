import type { ConsoleDocument, Sample } from "../cluster/documents/console.ts";
import type { OdooPgError } from "../errors.ts";

/** Everything that the page shows except the jobs, which the server knows. */
export type GatheredDocument = Omit<ConsoleDocument, "jobs">;

/** A follower of what is new. */
export interface ConsoleListener {
  /** Called with a whole document when it has changed, at most once a second. */
  readonly document: (document: GatheredDocument) => void;
  /** Called with each new point of the graphs. */
  readonly sample: (sample: Sample) => void;
}

/** Where the console's server gets its data. Nothing is read while nobody asks. */
export interface ConsoleSource {
  /** The configuration file that commands must name to reach this cluster; undefined where it is found without. */
  readonly configFile: () => string | undefined;
  /** How odoo-pg is typed on this host, wherever one is. */
  readonly called: string;
  /**
   * The present document, the same for everyone: the server removes what a principal may not see.
   * @throws OdooPgError not_running while nothing was applied.
   */
  readonly document: () => Promise<GatheredDocument>;
  /** The points of the last 24 hours, the oldest first, at most 2880. */
  readonly samples: () => Promise<readonly Sample[]>;
  /** Reports what is new until the returned function is called. */
  readonly subscribe: (listener: ConsoleListener) => () => void;
}

/** The viewer of a board. */
export interface BoardVisitor {
  /** The token in the forms of a signed-in operator; undefined for viewers who may do nothing. */
  readonly token: string | undefined;
  /** What a link of the page asked for, by name. */
  readonly asked: Readonly<Record<string, string>>;
  /** Why the order of a form was refused. */
  readonly refused?: OdooPgError;
}

/** In the place of the page that a browser runs: one that is made here, whose forms give orders. */
export interface Board {
  readonly page: (visitor: BoardVisitor) => Promise<string>;
  readonly policy: string;
  /**
   * Begins what a form asks for; the page shows the result.
   * @param by who, for the log
   * @throws OdooPgError usage for an unknown order
   */
  readonly order: (form: Readonly<Record<string, string>>, by: string) => Promise<void>;
}
