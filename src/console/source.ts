import type { ConsoleDocument, Sample } from "../cluster/documents/console.ts";
import type { OdooPgError } from "../errors.ts";

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
  /** How odoo-pg is typed on this host, wherever one is. */
  readonly called: string;
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

/** Who looks at a board. */
export interface BoardVisitor {
  /** What the forms of an operator who has signed in bear; undefined for whoever may do nothing. */
  readonly token: string | undefined;
  /** What was asked for by a link of the page. */
  readonly asked: Readonly<Record<string, string>>;
  /** Why the order of a form was not taken. */
  readonly refused?: OdooPgError;
}

/** In the place of the page that a browser runs: one that is made here, whose forms give orders. */
export interface Board {
  readonly page: (visitor: BoardVisitor) => Promise<string>;
  readonly policy: string;
  /**
   * Begins what a form asks for; what comes of it the page shows.
   * @param by who, for the log
   * @throws OdooPgError usage for what is no order
   */
  readonly order: (form: Readonly<Record<string, string>>, by: string) => Promise<void>;
}
