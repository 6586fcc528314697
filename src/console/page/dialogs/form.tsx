import type { ComponentChildren, JSX } from "preact";

/** The fields of dialogs. */

export function NeutralizeTick(props: {
  readonly ticked: boolean;
  readonly change: (ticked: boolean) => void;
}): JSX.Element {
  const { ticked, change } = props;
  return (
    <label class="tick">
      <input
        type="checkbox"
        checked={ticked}
        onChange={({ currentTarget }) => change(currentTarget.checked)}
      />
      <span>
        Neutralise it: no mail is sent, no scheduled action runs
        {!ticked && <small> Without this the copy is live, as the original is.</small>}
      </span>
    </label>
  );
}

export function Form(props: {
  readonly submit: () => void;
  readonly unready?: boolean;
  /** The text of the button that leads on. */
  readonly button?: string;
  readonly close: () => void;
  readonly children: ComponentChildren;
}): JSX.Element {
  const { submit, unready = false, button = "Show the plan", close, children } = props;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      {children}
      <p class="buttons">
        <button type="submit" class="main" disabled={unready}>
          {button}
        </button>
        <button type="button" onClick={close}>
          Close
        </button>
      </p>
    </form>
  );
}

export function NameField(props: {
  readonly label: string;
  readonly value: string;
  readonly change: (name: string) => void;
}): JSX.Element {
  const { label, value, change } = props;
  return (
    <label>
      {label}
      <input
        required
        maxLength={63}
        spellcheck={false}
        autocomplete="off"
        value={value}
        onInput={({ currentTarget }) => change(currentTarget.value)}
      />
    </label>
  );
}
