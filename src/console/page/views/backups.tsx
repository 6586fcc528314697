import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { daysOf, dayOf, proofOf, type Day, type DatedBackup, type Proof } from "../model/calendar.ts";
import { addressOf } from "../model/routes.ts";
import { bytes, clock, dayInWords, many } from "../model/show.ts";
import type { Level } from "../model/verdict.ts";
import type { Ask } from "../parts/ask.ts";
import { Fold } from "../parts/fold.tsx";
import { Mark } from "../parts/mark.tsx";
import { Seconds } from "../sections/seconds.tsx";
import { useReading } from "../read.ts";
import { Frame, Reads } from "./frame.tsx";
import type { ViewProps } from "./view.ts";

/** What is shown of `odoo-pg backup list --json`. */
interface Catalogue {
  readonly dir: string;
  readonly backups: readonly Backup[];
  readonly unreadable: readonly { readonly folder: string; readonly problem: string }[];
}

interface Backup extends DatedBackup {
  readonly size_bytes: number;
  readonly filestore: { readonly included: boolean; readonly reason?: string };
}

/** Days that the calendar shows. */
const DAYS = 70;

const WORDS: Readonly<Record<Proof, string>> = {
  proven: "proven by a restore",
  made: "made, not proven yet",
  damaged: "damaged",
  none: "no backup",
};
const LEVELS: Readonly<Record<Proof, Level>> = {
  proven: "ok",
  made: "off",
  damaged: "critical",
  none: "unknown",
};

/** What can be restored, day by day, with what is proven; and each backup of a day. */
export function Backups({ document, now, ask, wish }: ViewProps): JSX.Element {
  const read = useReading<Catalogue>({ what: "backups" });
  const [database, setDatabase] = useState(wish.get("database") ?? "");
  const [day, setDay] = useState<string>();
  return (
    <Frame title="Backups" words={document.recovery.sentence}>
      {ask && <Buttons ask={ask} />}
      <Seconds document={document} now={now} ask={ask} />
      <Reads read={read}>
        {({ dir, backups, unreadable }) => {
          const names = [...new Set(backups.map((one) => one.database))].sort();
          const shown = backups.filter((one) => database === "" || one.database === database);
          const days = daysOf(shown, now, DAYS);
          const chosen = day ?? days.findLast(({ backups: count }) => count > 0)?.name;
          const ofDay = shown.filter((one) => dayOf(Date.parse(one.snapshot_at)) === chosen).toReversed();
          return (
            <>
              <WhichDatabase names={names} chosen={database} choose={setDatabase} />
              {days.length === 0 && <p class="answer">There is no backup yet.</p>}
              <Calendar days={days} chosen={chosen} choose={setDay} now={now} />
              {chosen !== undefined && days.length > 0 && (
                <h2 id="day">
                  {chosen}: {many(ofDay.length, "backup")}
                </h2>
              )}
              <ul class="rows" aria-labelledby="day">
                {ofDay.map((one) => (
                  <One key={one.id} backup={one} now={now} ask={ask} />
                ))}
              </ul>
              {unreadable.map(({ folder, problem }) => (
                <p key={folder}>
                  <Mark level="warning" />{" "}
                  <Fold lines={3}>
                    {folder} cannot be read: {problem}
                  </Fold>
                </p>
              ))}
              <p class="quiet">
                <small>
                  <Fold lines={2}>They lie in {dir}.</Fold>
                </small>
              </p>
            </>
          );
        }}
      </Reads>
    </Frame>
  );
}

function Buttons({ ask }: { readonly ask: Ask }): JSX.Element {
  return (
    <p class="buttons">
      <button type="button" class="main" onClick={() => ask({ kind: "choose_backup" })}>
        Restore …
      </button>
      <button type="button" onClick={() => ask({ kind: "backup" })}>
        Back up now …
      </button>
      <button type="button" onClick={() => ask({ kind: "choose_upload" })}>
        Restore a file …
      </button>
      <button type="button" onClick={() => ask({ kind: "prove" })}>
        Prove the newest …
      </button>
    </p>
  );
}

/** The choice is kept in the page's address. */
function WhichDatabase(props: {
  readonly names: readonly string[];
  readonly chosen: string;
  readonly choose: (database: string) => void;
}): JSX.Element {
  const { names, chosen, choose } = props;
  return (
    <p class="search">
      <label>
        Of{" "}
        <select
          value={chosen}
          onChange={({ currentTarget }) => {
            choose(currentTarget.value);
            history.replaceState(null, "", addressOf("backups", { database: currentTarget.value }));
          }}
        >
          <option value="">all databases</option>
          {names.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
    </p>
  );
}

/** A square for each day. The legend explains the marks; each square is labelled, too. */
function Calendar(props: {
  readonly days: readonly Day[];
  readonly chosen: string | undefined;
  readonly choose: (day: string) => void;
  readonly now: number;
}): JSX.Element | null {
  const { days, chosen, choose } = props;
  if (days.length === 0) return null;
  const seen = [...new Set(days.map(({ proof }) => proof))];
  return (
    <>
      <ol class="calendar" aria-label="Days">
        {days.map(({ name, proof, backups }, index) => (
          <li key={name}>
            <button
              type="button"
              class={`date ${proof}`}
              aria-pressed={name === chosen}
              aria-label={`${dayInWords(name)} ${name.slice(0, 4)}: ${many(backups, "backup")}, ${WORDS[proof]}`}
              title={`${name}: ${WORDS[proof]}`}
              onClick={() => choose(name)}
            >
              {index === 0 || name.endsWith("-01") ? dayInWords(name) : Number(name.slice(8))}
            </button>
          </li>
        ))}
      </ol>
      <ul class="key-of-days">
        {seen.map((proof) => (
          <li key={proof}>
            <Mark level={LEVELS[proof]} silent /> {WORDS[proof]}
          </li>
        ))}
      </ul>
    </>
  );
}

function One(props: {
  readonly backup: Backup;
  readonly now: number;
  readonly ask: Ask | undefined;
}): JSX.Element {
  const { backup, now, ask } = props;
  const { id, database, snapshot_at, drilled_at, size_bytes, problems, filestore } = backup;
  const proof = proofOf([backup]);
  return (
    <li>
      <Mark level={LEVELS[proof]} />
      <div>
        <p>
          {database}, <time dateTime={snapshot_at}>{clock(snapshot_at, now)}</time>{" "}
          <small>
            {bytes(size_bytes)}
            {filestore.included || filestore.reason === "not_odoo" ? "" : ", without attachments"}
          </small>
        </p>
        <small>
          {problems[0] === undefined ? (
            drilled_at === null ? (
              WORDS.made
            ) : (
              `restored and compared ${clock(drilled_at, now)}`
            )
          ) : (
            <Fold lines={3}>{problems.join("; ")}</Fold>
          )}
        </small>
      </div>
      {ask && problems.length === 0 && (
        <div class="does">
          <button
            type="button"
            class="small"
            aria-label={`Restore ${id}`}
            onClick={() => ask({ kind: "choose_backup", backup: id })}
          >
            Restore …
          </button>
          {filestore.reason !== "not_odoo" && (
            <a class="small" href={`/api/backups/${encodeURIComponent(id)}/odoo.zip`} download={`${id}.zip`}>
              Download<span class="unseen"> {id} as a zip of Odoo</span>
            </a>
          )}
          {drilled_at === null && (
            <button
              type="button"
              class="small"
              aria-label={`Prove ${id}`}
              onClick={() => ask({ kind: "prove", backup: id })}
            >
              Prove …
            </button>
          )}
        </div>
      )}
    </li>
  );
}
