import { expect } from "vitest";
import { actionSchema, type Action } from "../../../src/model/console-actions.ts";
import type { Request } from "../../../src/console/page/parts/ask.ts";

type Kind = Action["kind"];

/** Which file clicks an action through to its end, on a real cluster. One that nobody clicks is no key, and fails. */
const CLICKED: Readonly<Record<Kind, "cluster" | "actions">> = {
  backup: "cluster",
  switchover: "cluster",
  cancel_session: "cluster",
  terminate_session: "cluster",
  restore_copy: "cluster",
  rename_database: "cluster",
  drop_database: "cluster",
  restore_upload: "cluster",
  count_statements: "actions",
  accept_setting: "actions",
  set_alarm: "actions",
  set_mail: "actions",
  unset_alarm: "actions",
  apply: "actions",
  test_alarms: "actions",
  copy: "actions",
  refresh_staging: "actions",
  prove: "actions",
  prove_second: "actions",
  fix: "actions",
  restore_moment: "actions",
  reseed: "cluster",
  rejoin: "cluster",
};

/** The dialogs that ask for something before there is an action, and how their button is called in the fixtures. */
export const DIALOGS: Readonly<
  Record<Exclude<Request, Action>["kind"], readonly { readonly view: string; readonly button: string }[]>
> = {
  choose_backup: [
    { view: "", button: "Restore to a copy …" },
    { view: "backups", button: "Restore …" },
  ],
  choose_upload: [{ view: "backups", button: "Restore a file …" }],
  choose_successor: [{ view: "", button: "Switch over …" }],
  choose_copy: [{ view: "", button: "Copy sales" }],
  choose_refresh: [{ view: "", button: "Refresh sales" }],
  choose_rename: [{ view: "", button: "Rename sales" }],
  choose_alarm: [
    { view: "alarms", button: "Mail …" },
    { view: "alarms", button: "Slack …" },
    { view: "alarms", button: "Webhook …" },
  ],
};

/** Every action that there is, by the program's own schema. */
const KINDS: readonly string[] = actionSchema.options.map(({ shape }) => shape.kind.value);

/** What a file has clicked is what it is there for: all of that, and of all actions each has its file. */
export function expectAllClicked(file: "cluster" | "actions", done: ReadonlySet<string>): void {
  expect(Object.keys(CLICKED).toSorted()).toEqual([...KINDS].toSorted());
  const own = Object.entries(CLICKED).flatMap(([kind, where]) => (where === file ? [kind] : []));
  expect(own.filter((kind) => !done.has(kind))).toEqual([]);
}
