import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Action } from "../../../model/console-actions.ts";
import type { ConsoleDocument } from "../../../cluster/documents/console.ts";
import { successors } from "../model/nodes.ts";
import { copyName } from "../model/recovery.ts";
import { clock } from "../model/show.ts";
import type { Request } from "./ask.ts";

export type Choice = Exclude<Request, Action>;

export function isChoice(request: Request): request is Choice {
  return request.kind.startsWith("choose_");
}

export function choiceTitle(choice: Choice): string {
  if (choice.kind === "choose_name") return `Copy ${choice.source} to staging, neutralised`;
  return choice.kind === "choose_backup" ? "Restore to a copy" : "Switch over";
}

/** What has to be said before there is an action: which backup, which node, which name. */
export function Choose(props: {
  readonly choice: Choice;
  readonly document: ConsoleDocument;
  readonly now: number;
  readonly chosen: (action: Action) => void;
  readonly close: () => void;
}): JSX.Element {
  const { choice, document, now, chosen, close } = props;
  const taken = document.databases.map(({ name }) => name);
  const { backups } = document.recovery;
  const nodes = successors(document.status);
  const [backup, setBackup] = useState(backups[0]?.id ?? "");
  const [node, setNode] = useState(nodes[0] ?? "");
  const source =
    choice.kind === "choose_name"
      ? choice.source
      : (backups.find(({ id }) => id === backup)?.database ?? "database");
  const proposal = copyName(source, taken, choice.kind === "choose_name" ? "staging" : "copy");
  const [typed, setTyped] = useState<string>();
  const name = typed ?? proposal;
  const submit = (): void => {
    if (choice.kind === "choose_backup") chosen({ kind: "restore_copy", backup, as: name.trim() });
    else if (choice.kind === "choose_successor") chosen({ kind: "switchover", to: node });
    else chosen({ kind: "copy_neutralized", source: choice.source, copy: name.trim() });
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      {choice.kind === "choose_backup" && (
        <label>
          Which backup
          <select value={backup} onChange={({ currentTarget }) => setBackup(currentTarget.value)}>
            {backups.map(({ id, database, at }) => (
              <option key={id} value={id}>
                {database}, {clock(at, now)}
              </option>
            ))}
          </select>
        </label>
      )}
      {choice.kind === "choose_successor" ? (
        <label>
          New primary
          <select value={node} onChange={({ currentTarget }) => setNode(currentTarget.value)}>
            {nodes.map((candidate) => (
              <option key={candidate}>{candidate}</option>
            ))}
          </select>
        </label>
      ) : (
        <label>
          Name of the new database
          <input
            required
            maxLength={63}
            spellcheck={false}
            autocomplete="off"
            value={name}
            onInput={({ currentTarget }) => setTyped(currentTarget.value)}
          />
        </label>
      )}
      <p class="buttons">
        <button type="submit" class="main">
          Show the plan
        </button>
        <button type="button" onClick={close}>
          Close
        </button>
      </p>
    </form>
  );
}
