import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Action } from "../../../model/console-actions.ts";
import type { ConsoleDocument } from "../../../cluster/documents/console.ts";
import {
  backupBefore,
  isInWindow,
  localSecond,
  localTime,
  universalSecond,
  type DatedBackup,
} from "../model/calendar.ts";
import { successors } from "../model/nodes.ts";
import { copyName } from "../model/recovery.ts";
import { clock } from "../model/show.ts";
import { useReading } from "../read.ts";
import type { Request } from "../parts/ask.ts";
import { ChooseAlarm } from "./choose-alarm.tsx";
import { ChooseUpload } from "./choose-upload.tsx";
import { Form, NameField, NeutralizeTick } from "./form.tsx";

export type Choice = Exclude<Request, Action>;

export function isChoice(request: Request): request is Choice {
  return request.kind.startsWith("choose_");
}

export function choiceTitle(choice: Choice): string {
  if (choice.kind === "choose_backup") return "Restore to a copy";
  if (choice.kind === "choose_upload") return "Restore a file";
  if (choice.kind === "choose_successor") return "Switch over";
  if (choice.kind === "choose_alarm")
    return { mail: "Alarms by mail", slack: "Alarms to Slack", webhook: "Alarms to a webhook" }[
      choice.channel
    ];
  const verbs = { choose_copy: "Copy", choose_refresh: "Refresh", choose_rename: "Rename" } as const;
  return `${verbs[choice.kind]} ${choice.source}`;
}

interface ChooseProps<C> {
  readonly choice: C;
  readonly document: ConsoleDocument;
  readonly now: number;
  readonly token: string;
  readonly chosen: (action: Action) => void;
  readonly close: () => void;
}

/** The choices needed before there is an action: which backup, which node, which name. */
export function Choose(props: ChooseProps<Choice>): JSX.Element {
  const { choice } = props;
  if (choice.kind === "choose_backup") return <ChooseBackup {...props} choice={choice} />;
  if (choice.kind === "choose_upload") return <ChooseUpload {...props} />;
  if (choice.kind === "choose_alarm") return <ChooseAlarm {...props} choice={choice} />;
  if (choice.kind === "choose_successor") return <ChooseSuccessor {...props} choice={choice} />;
  if (choice.kind === "choose_copy") return <ChooseCopy {...props} choice={choice} />;
  if (choice.kind === "choose_refresh") return <ChooseSource {...props} choice={choice} />;
  return <ChooseName {...props} choice={choice} />;
}

type Of<K extends Choice["kind"]> = Extract<Choice, { readonly kind: K }>;
type Naming = Extract<Choice, { readonly source: string }>;

/** It begins with what people know: which database, and when everything in it was still right. */
function ChooseBackup({
  choice,
  document,
  now,
  chosen,
  close,
}: ChooseProps<Of<"choose_backup">>): JSX.Element {
  const { databases, database, setDatabase, right, setRight, backup, second } = useMoment(
    choice,
    document,
    now,
  );
  const [typed, setTyped] = useState<string>();
  // Of a dropped database, only the backup knows: the plan refuses to neutralise one that is not Odoo's.
  const odoo = document.databases.find((one) => one.name === database)?.odoo_version !== null;
  const [harmless, setHarmless] = useState(true);
  const neutralize = odoo && harmless;
  const taken = document.databases.map(({ name }) => name);
  const name = typed ?? copyName(database, taken, "copy");
  const { window } = document.status;
  return (
    <Form
      submit={() => {
        const as = name.trim();
        if (second !== undefined) chosen({ kind: "restore_moment", database, at: second, as, neutralize });
        else if (backup) chosen({ kind: "restore_copy", backup: backup.id, as, neutralize });
      }}
      unready={second === undefined && backup === undefined}
      close={close}
    >
      <label>
        Database
        <select value={database} onChange={({ currentTarget }) => setDatabase(currentTarget.value)}>
          {databases.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      </label>
      <label>
        When was it still right?
        <input
          type="datetime-local"
          required
          step={window ? 1 : 60}
          value={right}
          max={window ? localSecond(now) : localTime(now)}
          onInput={({ currentTarget }) => setRight(currentTarget.value)}
        />
      </label>
      <p role="status" class="chosen">
        {second !== undefined ? (
          `The database of that very second (${universalSecond(Date.parse(second))}), with its attachments.`
        ) : backup === undefined ? (
          "There is no backup from then or before."
        ) : (
          <>
            The backup of <b>{clock(backup.at, now)}</b>,{" "}
            {backup.proven_at === null
              ? "not proven yet: it is compared before it counts"
              : "proven by a restore"}
            .
          </>
        )}
      </p>
      <NameField value={name} change={setTyped} label="Name of the new database" />
      {odoo && <NeutralizeTick ticked={harmless} change={setHarmless} />}
    </Form>
  );
}

type KnownBackup = ConsoleDocument["recovery"]["backups"][number];

interface Moment {
  /** Those that can be brought back at all. */
  readonly databases: readonly string[];
  readonly database: string;
  readonly setDatabase: (database: string) => void;
  /** When it was still right, as a field of local time. */
  readonly right: string;
  readonly setRight: (right: string) => void;
  /** The newest backup from then or before. */
  readonly backup: KnownBackup | undefined;
  /** That very second, where it can be brought back. */
  readonly second: string | undefined;
}

/** Which database, as of when, and what brings it back. */
function useMoment(choice: Of<"choose_backup">, document: ConsoleDocument, now: number): Moment {
  const backups = useAllBackups(document);
  // A preselected backup may be older than those that the page knows before all are read.
  const named = choice.backup === undefined ? backups[0] : backups.find(({ id }) => id === choice.backup);
  const { window } = document.status;
  // Any second of a database can be brought back before there is a backup of it.
  const live = window?.from == null ? [] : document.databases.map(({ name }) => name);
  const databases = [...new Set([...backups.map(({ database }) => database), ...live])];
  const [typedDatabase, setDatabase] = useState<string>();
  const database =
    typedDatabase ?? named?.database ?? (choice.backup === undefined ? live[0] : undefined) ?? "";
  const begin = localTime(choice.backup === undefined ? now : momentOf(named?.at));
  const [typedRight, setRight] = useState<string>();
  const [opened] = useState(begin);
  const right = typedRight ?? (choice.backup === undefined ? opened : begin);
  // Where no seconds are named, what was made within the present minute is not after it.
  const moment = Date.parse(right) + (right.length > MINUTES ? 0 : 59_999);
  // A preselected backup stays chosen until another moment or database is requested.
  const pointed =
    choice.backup !== undefined && typedRight === undefined && named?.database === database
      ? named
      : undefined;
  const second =
    pointed === undefined && database !== "" && isInWindow(window, Date.parse(right), now)
      ? new Date(right).toISOString()
      : undefined;
  const backup = pointed ?? backupBefore(backups, database, moment);
  return { databases, database, setDatabase, right, setRight, backup, second };
}

/** Characters of a field that names no seconds: `2026-11-22T08:30`. */
const MINUTES = 16;

/** The shown part of `odoo-pg backup list --json`; until it arrives, the newest ones that the page knows anyway. */
function useAllBackups({ recovery }: ConsoleDocument): readonly KnownBackup[] {
  const { answer } = useReading<{ readonly backups: readonly DatedBackup[] }>({ what: "backups" });
  if (!answer) return recovery.backups;
  return answer.backups
    .filter(({ problems }) => problems.length === 0)
    .map(({ id, database, snapshot_at, drilled_at }) => ({
      id,
      database,
      at: snapshot_at,
      proven_at: drilled_at,
    }))
    .toReversed();
}

function momentOf(at: string | undefined): number {
  return at === undefined ? 0 : Date.parse(at);
}

function ChooseSuccessor({ document, chosen, close }: ChooseProps<Of<"choose_successor">>): JSX.Element {
  const nodes = successors(document.status);
  const [node, setNode] = useState(nodes[0] ?? "");
  return (
    <Form submit={() => chosen({ kind: "switchover", to: node })} close={close}>
      <label>
        New primary
        <select value={node} onChange={({ currentTarget }) => setNode(currentTarget.value)}>
          {nodes.map((candidate) => (
            <option key={candidate}>{candidate}</option>
          ))}
        </select>
      </label>
    </Form>
  );
}

function ChooseCopy({ choice, document, chosen, close }: ChooseProps<Naming>): JSX.Element {
  const { source } = choice;
  const odoo = document.databases.find(({ name }) => name === source)?.odoo_version !== null;
  const [neutralize, setNeutralize] = useState(odoo);
  const [typed, setTyped] = useState<string>();
  const taken = document.databases.map(({ name }) => name);
  const name = typed ?? copyName(source, taken, neutralize ? "staging" : "copy");
  return (
    <Form submit={() => chosen({ kind: "copy", source, copy: name.trim(), neutralize })} close={close}>
      <NameField value={name} change={setTyped} label="Name of the new database" />
      {odoo && <NeutralizeTick ticked={neutralize} change={setNeutralize} />}
    </Form>
  );
}

/** The database from which a staging database is made again. */
function ChooseSource({ choice, document, chosen, close }: ChooseProps<Naming>): JSX.Element {
  const others = document.databases
    .filter(({ name, odoo_version }) => name !== choice.source && odoo_version !== null)
    .map(({ name }) => name);
  // `sales_staging` was most likely made from `sales`.
  const likely = others
    .filter((name) => choice.source.startsWith(name))
    .toSorted((a, b) => b.length - a.length)[0];
  const [source, setSource] = useState(likely ?? others[0] ?? "");
  return (
    <Form
      submit={() => chosen({ kind: "refresh_staging", source, copy: choice.source })}
      unready={source === ""}
      close={close}
    >
      {others.length === 0 ? (
        <p role="status">There is no other Odoo database to refresh it from. Copy or restore one first.</p>
      ) : (
        <label>
          From
          <select value={source} onChange={({ currentTarget }) => setSource(currentTarget.value)}>
            {others.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
      )}
    </Form>
  );
}

function ChooseName({ choice, chosen, close }: ChooseProps<Naming>): JSX.Element {
  const [name, setName] = useState(choice.source);
  return (
    <Form
      submit={() => chosen({ kind: "rename_database", database: choice.source, to: name.trim() })}
      unready={name.trim() === choice.source}
      close={close}
    >
      <NameField value={name} change={setName} label="New name" />
    </Form>
  );
}
