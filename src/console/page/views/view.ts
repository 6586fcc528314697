import type { ConsoleDocument } from "../../../cluster/documents/console.ts";
import type { Ask } from "../parts/ask.ts";

/** The properties of every part behind the overview. */
export interface ViewProps {
  readonly document: ConsoleDocument;
  readonly now: number;
  /** Undefined for who may not act. */
  readonly ask: Ask | undefined;
  readonly wish: URLSearchParams;
}
