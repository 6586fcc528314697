import type { JSX } from "preact";
import { LEVEL_WORDS, type Level } from "../model/verdict.ts";

/**
 * The shapes of `odoo-pg status`: ● well, ▲ warning, ✖ critical, ○ stopped, ? unknown. Never distinguished by colour
 * alone.
 */
export function Mark({
  level,
  silent = false,
}: {
  readonly level: Level;
  readonly silent?: boolean;
}): JSX.Element {
  const words = silent
    ? ({ "aria-hidden": true } as const)
    : ({ role: "img", "aria-label": LEVEL_WORDS[level] } as const);
  return (
    <svg class={`mark ${level}`} viewBox="0 0 16 16" {...words}>
      <path d={SHAPES[level]} />
    </svg>
  );
}

/** Drawn in a square of 16. */
const SHAPES: Readonly<Record<Level, string>> = {
  ok: "M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z",
  warning: "M8 1.6 15 14H1z",
  critical: "m3.2 3.2 9.6 9.6m0-9.6-9.6 9.6",
  off: "M13.2 8A5.2 5.2 0 1 1 2.8 8a5.2 5.2 0 0 1 10.4 0z",
  unknown: "M5.2 5.6a2.8 2.8 0 1 1 4 2.5c-.8.4-1.2.9-1.2 1.9m0 3v.6",
};
