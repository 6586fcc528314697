import { showSeconds } from "../../../model/quantities.ts";

/** How long the server may be silent, milliseconds: it sends a ping every 15 s. */
export const LONGEST_SILENCE = 20_000;

export interface Connection {
  readonly open: boolean;
  /** When the server was last heard; undefined before the first message. */
  readonly heardAt: number | undefined;
  /** When the page began to listen. */
  readonly since: number;
}

export interface Liveness {
  readonly live: boolean;
  readonly text: string;
}

/** All times are of the page's own steady clock, in milliseconds. */
export function livenessOf({ open, heardAt, since }: Connection, now: number): Liveness {
  if (heardAt === undefined) {
    const waited = now - since;
    // Data loaded with the page is as new as the page.
    if (waited < 3000) return { live: true, text: "connecting …" };
    return { live: false, text: `no answer for ${whole(waited)}` };
  }
  const silence = now - heardAt;
  if (open && silence < LONGEST_SILENCE) return { live: true, text: "live" };
  return { live: false, text: `not live since ${whole(silence)}` };
}

function whole(milliseconds: number): string {
  return showSeconds(Math.floor(milliseconds / 1000)).replace(/\.0 s$/, " s");
}
