import type { Action } from "../../../model/console-actions.ts";

/** What a button asks for: an action, or a choice that has to be made first. */
export type Request =
  | Action
  | { readonly kind: "choose_backup" }
  | { readonly kind: "choose_successor" }
  | Staging;

interface Staging {
  readonly kind: "choose_name";
  readonly source: string;
}

/** Opens the dialog that leads from a request to its result. Undefined for who may not act. */
export type Ask = (request: Request) => void;
