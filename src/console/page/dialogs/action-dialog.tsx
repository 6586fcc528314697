import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Action } from "../../../model/console-actions.ts";
import type { ConsoleDocument, Job } from "../../../cluster/documents/console.ts";
import { outcomeOf, stateOfJob, titleOf, wordToType } from "../model/actions.ts";
import type { Failure } from "../model/failure.ts";
import { askForPlan, order } from "../orders.ts";
import type { Ask, Request } from "../parts/ask.ts";
import { Choose, choiceTitle, isChoice } from "./choose.tsx";
import { FailureNote } from "../parts/failure-note.tsx";
import { Far } from "./far.tsx";
import { Mark } from "../parts/mark.tsx";

interface DialogProps {
  readonly document: ConsoleDocument;
  readonly now: number;
  readonly token: string;
  readonly ask: Ask;
  readonly close: () => void;
}

/** From a request to its result: choice, plan, confirmation, progress, end. Closing it stops nothing. */
export function ActionDialog(props: DialogProps & { readonly request: Request }): JSX.Element {
  const { request, document, now, token, ask, close } = props;
  const [action, setAction] = useState(isChoice(request) ? undefined : request);
  const [plan, setPlan] = useState<Job>();
  const [job, setJob] = useState<Job>();
  const [failure, setFailure] = useState<Failure>();
  const [sent, setSent] = useState(false);

  const begin = async (chosen: Action): Promise<void> => {
    setAction(chosen);
    const answer = await askForPlan(chosen, token);
    if (answer.failure) setFailure(answer.failure);
    else setPlan(answer.job);
  };
  const act = async (chosen: Action, typed: string | undefined): Promise<void> => {
    setSent(true);
    const answer = await order(chosen, typed, token);
    if (answer.failure) setFailure(answer.failure);
    else setJob(answer.job);
  };
  useEffect(() => {
    if (action) void begin(action);
  }, []);

  const planned = plan && present(plan, document);
  const started = job && present(job, document);
  const step = failure ? "failure" : started ? "job" : planned ? "plan" : action ? "wait" : "choose";
  return (
    <Frame
      title={action ? titleOf(action) : isChoice(request) ? choiceTitle(request) : ""}
      step={step}
      close={close}
    >
      {failure ? (
        <FailureNote failure={failure} close={close} />
      ) : started ? (
        <Progress job={started} now={now} ask={ask} close={close} />
      ) : planned && action ? (
        <Plan plan={planned} action={action} sent={sent} act={act} ask={ask} close={close} />
      ) : action || !isChoice(request) ? (
        <p role="status">Asking what it would do …</p>
      ) : (
        <Choose
          choice={request}
          document={document}
          now={now}
          token={token}
          chosen={(chosen) => void begin(chosen)}
          close={close}
        />
      )}
    </Frame>
  );
}

/** A job that was started earlier, from this page or by another user. */
export function JobDialog(props: DialogProps & { readonly job: Job }): JSX.Element {
  const { job, document, now, ask, close } = props;
  return (
    <Frame title={titleOf(job.action)} step="job" close={close}>
      <Progress job={present(job, document)} now={now} ask={ask} close={close} />
    </Frame>
  );
}

/** A job as the server last reported it. */
function present(job: Job, { jobs }: ConsoleDocument): Job {
  return jobs.find(({ id }) => id === job.id) ?? job;
}

function Frame(props: {
  readonly title: string;
  readonly step: string;
  readonly close: () => void;
  readonly children: JSX.Element;
}): JSX.Element {
  const { title, step, close, children } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  // The focused element is gone with the previous step.
  useEffect(() => {
    const field =
      step === "choose" ? dialog.current?.querySelector<HTMLElement>("select, input") : heading.current;
    field?.focus();
  }, [step]);
  return (
    <dialog ref={dialog} aria-labelledby="doing" onClose={close}>
      <h2 id="doing" ref={heading} tabIndex={-1}>
        {title}
      </h2>
      {children}
    </dialog>
  );
}

function Plan(props: {
  readonly plan: Job;
  readonly action: Action;
  readonly sent: boolean;
  readonly act: (action: Action, typed: string | undefined) => Promise<void>;
  readonly ask: Ask;
  readonly close: () => void;
}): JSX.Element {
  const { plan, action, sent, act, ask, close } = props;
  const word = wordToType(action);
  const [typed, setTyped] = useState("");
  const state = stateOfJob(plan);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void act(action, word === undefined ? undefined : typed);
      }}
    >
      <p role="status">
        {state === "running"
          ? "Asking what it would do …"
          : state === "done"
            ? "What it will do:"
            : "It cannot be done now. Nothing was changed."}
      </p>
      <Lines job={plan} />
      {state === "done" && word !== undefined && (
        <label>
          <span>
            To go on, type <b>{word}</b>
          </span>
          <input
            value={typed}
            spellcheck={false}
            autocomplete="off"
            onInput={({ currentTarget }) => setTyped(currentTarget.value)}
          />
        </label>
      )}
      <p class="buttons">
        {state === "done" && (
          <button
            type="submit"
            class={word === undefined ? "main" : "main severe"}
            disabled={sent || (word !== undefined && typed !== word)}
          >
            {titleOf(action)}
          </button>
        )}
        <button type="button" onClick={close}>
          {state === "done" ? "Leave it" : "Close"}
        </button>
        {state === "failed" && <OneStepFurther action={action} ask={ask} />}
      </p>
    </form>
  );
}

function Progress(props: {
  readonly job: Job;
  readonly now: number;
  readonly ask: Ask;
  readonly close: () => void;
}): JSX.Element {
  const { job, now, ask, close } = props;
  const state = stateOfJob(job);
  const { action } = job;
  return (
    <div>
      <p>
        <code>{job.command}</code>
      </p>
      <Lines job={job} />
      {job.progress && <Far progress={job.progress} />}
      <p class={`outcome ${state}`}>
        {state === "running" ? (
          <span class="spinner" aria-hidden="true" />
        ) : (
          <Mark level={state === "done" ? "ok" : "critical"} silent />
        )}{" "}
        {/* The seconds that pass are not read aloud. */}
        <span role="status">{state === "running" ? "It runs." : outcomeOf(job, now)}</span>
        {state === "running" && (
          <small aria-hidden="true"> {outcomeOf(job, now)} Closing this does not stop it.</small>
        )}
      </p>
      <p class="buttons">
        <button type="button" class={state === "running" ? undefined : "main"} onClick={close}>
          Close
        </button>
        {state !== "running" && <OneStepFurther action={action} ask={ask} />}
        {state === "done" && WRITTEN.includes(action.kind) && (
          <button type="button" onClick={() => ask({ kind: "apply" })}>
            Apply the configuration …
          </button>
        )}
      </p>
    </div>
  );
}

/** Lines written into the configuration file, which take effect once they are applied. */
const WRITTEN: readonly Action["kind"][] = [
  "accept_setting",
  "count_statements",
  "set_alarm",
  "set_mail",
  "unset_alarm",
];

/** Where a cancel did not help: a session idle in its transaction has nothing to cancel. */
function OneStepFurther(props: { readonly action: Action; readonly ask: Ask }): JSX.Element | null {
  const { action, ask } = props;
  if (action.kind !== "cancel_session") return null;
  return (
    <button type="button" onClick={() => ask({ kind: "terminate_session", pid: action.pid })}>
      Still there? End the session …
    </button>
  );
}

function Lines({ job }: { readonly job: Job }): JSX.Element | null {
  const box = useRef<HTMLDivElement>(null);
  const { lines } = job;
  useEffect(() => {
    // Output is read from its end, a plan from its beginning.
    if (box.current && !job.plan) box.current.scrollTop = box.current.scrollHeight;
  }, [lines.length]);
  if (lines.length === 0) return null;
  return (
    <div ref={box} class="lines" role="log" tabIndex={0} aria-label={job.plan ? "Plan" : "Progress"}>
      {lines.map((line, index) => (
        <div key={index}>{line === "" ? "\u00a0" : line}</div>
      ))}
    </div>
  );
}
