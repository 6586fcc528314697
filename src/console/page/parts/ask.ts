import type { Action } from "../../../model/console-actions.ts";

/** What a button asks for: an action, or a choice that has to be made first. */
export type Request =
  | Action
  | { readonly kind: "choose_backup"; readonly backup?: string }
  | { readonly kind: "choose_upload" }
  | { readonly kind: "choose_successor" }
  | ChosenAlarm
  | Named;

interface ChosenAlarm {
  /** The channel of the alarms. */
  readonly kind: "choose_alarm";
  readonly channel: "mail" | "slack" | "webhook";
  /** How mail is set up now. */
  readonly present?: MailNow | undefined;
}

/** The part of the mail's settings that is not secret. */
export interface MailNow {
  readonly host: string;
  readonly port?: number | undefined;
  readonly security: "starttls" | "tls" | "none";
  readonly user?: string | undefined;
  readonly from: string;
  readonly to: readonly string[];
}

interface Named {
  /** A copy of a database, what takes the place of one, or another name for it. */
  readonly kind: "choose_copy" | "choose_refresh" | "choose_rename";
  readonly source: string;
}

/** Opens the dialog that leads from a request to its result. Undefined for users who may not act. */
export type Ask = (request: Request) => void;
