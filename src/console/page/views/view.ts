import type { ConsoleDocument } from "../../../cluster/documents/console.ts";
import type { Ask } from "../parts/ask.ts";

/** What every part behind the overview is given. */
export interface ViewProps {
  readonly document: ConsoleDocument;
  readonly now: number;
  /** Undefined for who may not act. */
  readonly ask: Ask | undefined;
  readonly wish: URLSearchParams;
}
