import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Action } from "../../../model/console-actions.ts";
import type { Failure } from "../model/failure.ts";
import { giveSecret } from "../orders.ts";
import type { Request } from "../parts/ask.ts";
import { FailureNote } from "../parts/failure-note.tsx";
import { Form } from "./form.tsx";

export type AlarmChoice = Extract<Request, { readonly kind: "choose_alarm" }>;

/** Where alarms are sent. A secret is sent separately, into a file; the page never gets it back. */
export function ChooseAlarm(props: {
  readonly choice: AlarmChoice;
  readonly token: string;
  readonly chosen: (action: Action) => void;
  readonly close: () => void;
}): JSX.Element {
  const { choice, token, chosen, close } = props;
  const [failure, setFailure] = useState<Failure>();
  const [sending, setSending] = useState(false);
  const lead = async (action: Action, secret: string): Promise<void> => {
    setFailure(undefined);
    setSending(true);
    const failed = secret === "" ? undefined : await giveSecret(secret, token);
    setSending(false);
    if (failed) setFailure(failed);
    else chosen(action);
  };
  const fields = { sending, lead: (action: Action, secret: string) => void lead(action, secret), close };
  return (
    <>
      {choice.channel === "mail" ? (
        <MailFields {...fields} present={choice.present} />
      ) : (
        <AddressField {...fields} channel={choice.channel} />
      )}
      {failure && <FailureNote failure={failure} />}
    </>
  );
}

interface FieldsProps {
  readonly sending: boolean;
  readonly lead: (action: Action, secret: string) => void;
  readonly close: () => void;
}

function AddressField({
  channel,
  sending,
  lead,
  close,
}: FieldsProps & { readonly channel: "webhook" | "slack" }): JSX.Element {
  const [address, setAddress] = useState("");
  return (
    <Form submit={() => lead({ kind: "set_alarm", channel }, address.trim())} unready={sending} close={close}>
      <Secret
        label={channel === "slack" ? "Address of the incoming webhook" : "Address that takes JSON by POST"}
        value={address}
        change={setAddress}
        required
      />
      <p class="quiet">
        It begins with https://, is a secret, and is not shown again.
        {channel === "slack" && " Mattermost and Rocket.Chat take the same format."}
      </p>
    </Form>
  );
}

function MailFields({
  present,
  sending,
  lead,
  close,
}: FieldsProps & { readonly present: AlarmChoice["present"] }): JSX.Element {
  const [host, setHost] = useState(present?.host ?? "");
  const [port, setPort] = useState(present?.port ? String(present.port) : "");
  const [security, setSecurity] = useState<"starttls" | "tls" | "none">(present?.security ?? "starttls");
  const [user, setUser] = useState(present?.user ?? "");
  const [password, setPassword] = useState("");
  const [from, setFrom] = useState(present?.from ?? "");
  const [to, setTo] = useState(present?.to.join(", ") ?? "");
  const submit = (): void =>
    lead(
      {
        kind: "set_mail",
        host: host.trim(),
        ...(port === "" ? {} : { port: Number(port) }),
        security,
        ...(user.trim() === "" ? {} : { user: user.trim() }),
        from: from.trim(),
        to: to.trim(),
        password: password !== "",
      },
      password,
    );
  return (
    <Form submit={submit} unready={sending} close={close}>
      <Field label="To, separated by commas" value={to} change={setTo} required />
      <Field label="From" value={from} change={setFrom} required />
      <Field label="Mail server" value={host} change={setHost} required />
      <label>
        Encryption
        <select
          value={security}
          onChange={({ currentTarget: { value } }) =>
            setSecurity(value === "tls" || value === "none" ? value : "starttls")
          }
        >
          <option value="starttls">STARTTLS</option>
          <option value="tls">TLS</option>
          <option value="none">none</option>
        </select>
      </label>
      <label>
        Port
        <input
          type="number"
          min={1}
          max={65_535}
          placeholder={{ starttls: "587", tls: "465", none: "25" }[security]}
          value={port}
          onInput={({ currentTarget }) => setPort(currentTarget.value)}
        />
      </label>
      <Field label="User, if it needs one" value={user} change={setUser} />
      <Secret
        label={present?.user === undefined ? "Its password" : "Its password (empty: unchanged)"}
        value={password}
        change={setPassword}
      />
    </Form>
  );
}

interface FieldProps {
  readonly label: string;
  readonly value: string;
  readonly change: (value: string) => void;
  readonly required?: boolean;
}

function Field({ label, value, change, required = false }: FieldProps): JSX.Element {
  return (
    <label>
      {label}
      <input
        required={required}
        spellcheck={false}
        autocomplete="off"
        value={value}
        onInput={({ currentTarget }) => change(currentTarget.value)}
      />
    </label>
  );
}

function Secret({ label, value, change, required = false }: FieldProps): JSX.Element {
  return (
    <label>
      {label}
      <input
        type="password"
        required={required}
        maxLength={4096}
        autocomplete="new-password"
        value={value}
        onInput={({ currentTarget }) => change(currentTarget.value)}
      />
    </label>
  );
}
