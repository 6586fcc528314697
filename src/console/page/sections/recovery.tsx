import type { JSX } from "preact";
import type { ConsoleDocument, Recovery as Recorded } from "../../../cluster/documents/console.ts";
import { recoveryFacts, trackOf } from "../model/recovery.ts";
import type { Ask } from "../parts/ask.ts";
import { Fold } from "../parts/fold.tsx";
import { Seconds } from "./seconds.tsx";
import { Section } from "../parts/section.tsx";

export function Recovery(props: {
  readonly document: ConsoleDocument;
  readonly now: number;
  readonly ask: Ask | undefined;
}): JSX.Element {
  const { document, now, ask } = props;
  const { recovery, status } = document;
  // Seconds can be brought back before there is any backup.
  const anySecond = status.window?.from != null;
  return (
    <Section id="recovery" title="Can I go back?">
      <p class="answer">
        <Fold lines={3}>{recovery.sentence}</Fold>
      </p>
      <Track recovery={recovery} now={now} />
      <dl class="facts">
        {recoveryFacts(recovery, now).map(({ name, value, note }) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              {value} {note !== "" && <small>{note}</small>}
            </dd>
          </div>
        ))}
      </dl>
      <Seconds document={document} now={now} ask={ask} />
      {ask && (
        <p class="buttons">
          <button type="button" onClick={() => ask({ kind: "backup" })}>
            Back up now
          </button>
          {(recovery.backups.length > 0 || anySecond) && (
            <button type="button" onClick={() => ask({ kind: "choose_backup" })}>
              Restore to a copy …
            </button>
          )}
        </p>
      )}
    </Section>
  );
}

/** Backups on the line of time; the figures beside it say the same. */
function Track({ recovery, now }: { readonly recovery: Recorded; readonly now: number }): JSX.Element | null {
  const track = trackOf(recovery, now);
  if (!track) return null;
  const x = (place: number): string => `${(place * 100).toFixed(2)}%`;
  return (
    <div class="track" aria-hidden="true">
      <svg height="34" width="100%">
        <line x1="0" x2="100%" y1="12" y2="12" />
        {track.points.map((place) => (
          <line key={place} class="backup" x1={x(place)} x2={x(place)} y1="6" y2="18" />
        ))}
        {track.proven !== undefined && (
          <svg x={x(track.proven)} y="0" overflow="visible">
            <path class="proven" d="m0 5 7 7-7 7-7-7z" />
          </svg>
        )}
      </svg>
      <span>oldest backup</span>
      <span class="legend">
        <svg width="4" height="12">
          <line class="backup" x1="2" x2="2" y1="0" y2="12" />
        </svg>{" "}
        backup
        {track.proven !== undefined && (
          <>
            <svg width="14" height="14" viewBox="-7 5 14 14">
              <path class="proven" d="m0 6 6 6-6 6-6-6z" />
            </svg>{" "}
            proven by a restore
          </>
        )}
      </span>
      <span>now</span>
    </div>
  );
}
