import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { ConsoleDocument, Job, Principal } from "../../cluster/documents/console.ts";
import { odooPg } from "../../next-step.ts";
import type { Live } from "./live.ts";
import { outcomeOf, stateOfJob, startedJobs } from "./model/actions.ts";
import type { Liveness } from "./model/connection.ts";
import { bytes, UNKNOWN } from "./model/show.ts";
import { pageTitle } from "./model/verdict.ts";
import type { Ask, Request } from "./parts/ask.ts";
import { Databases } from "./parts/databases.tsx";
import { ActionDialog, FailureNote, JobDialog } from "./parts/action-dialog.tsx";
import { Events } from "./parts/events.tsx";
import { Graphs } from "./parts/graphs.tsx";
import { ConfigFile, InWords } from "./parts/next.tsx";
import { Nodes } from "./parts/nodes.tsx";
import { Recovery } from "./parts/recovery.tsx";
import { Slow } from "./parts/slow.tsx";
import { Verdict } from "./parts/verdict.tsx";

/** The whole page, in the order of its questions. */
export function Console({ live }: { readonly live: Live }): JSX.Element {
  const { document, samples, principal, failure } = live.known();
  const liveness = live.liveness();
  const now = live.now();
  const [request, setRequest] = useState<Request>();
  const [job, setJob] = useState<Job>();
  const title = pageTitle(document, liveness.live);
  useEffect(() => {
    globalThis.document.title = title;
  }, [title]);

  if (!document)
    return (
      <main class="empty">
        <p role="status">{liveness.live ? "Looking …" : liveness.text}</p>
        {failure && <FailureNote failure={failure} />}
      </main>
    );

  const open: Ask = (options) => {
    setJob(undefined);
    setRequest(options);
  };
  const ask = principal?.role === "operator" && !principal.read_only ? open : undefined;
  const close = (): void => {
    setRequest(undefined);
    setJob(undefined);
  };
  const dialog = { document, now, token: principal?.token ?? "", ask: open, close };
  return (
    <ConfigFile.Provider value={document.config_file}>
      <Top document={document} liveness={liveness} principal={principal} />
      <main>
        <Verdict document={document} liveness={liveness} ask={ask} />
        <Recovery recovery={document.recovery} now={now} ask={ask} />
        <Nodes document={document} now={now} ask={ask} />
        <Graphs samples={samples} events={document.events} now={now} />
        <Databases document={document} now={now} ask={ask} />
        <Slow activity={document.activity} now={now} ask={ask} />
        <Events events={document.events} jobs={document.jobs} now={now} openJob={setJob} />
      </main>
      {request && <ActionDialog key={JSON.stringify(request)} {...dialog} request={request} />}
      {!request && job && <JobDialog {...dialog} job={job} />}
      {!request && !job && <Running document={document} now={now} openJob={setJob} />}
    </ConfigFile.Provider>
  );
}

function Top(props: {
  readonly document: ConsoleDocument;
  readonly liveness: Liveness;
  readonly principal: Principal | undefined;
}): JSX.Element {
  const { document, liveness, principal } = props;
  const { postgres_version, timeline, database_bytes } = document.status;
  return (
    <header class="top">
      <p>
        <b>{document.cluster}</b>{" "}
        <span class="facts-line">
          PostgreSQL {postgres_version ?? UNKNOWN}, timeline {timeline ?? UNKNOWN}, {bytes(database_bytes)}
        </span>
      </p>
      <p>
        <span class={`live ${liveness.live ? "on" : "off"} figure`}>
          <span aria-hidden="true">{liveness.live ? "●" : "▲"}</span> {liveness.text}
        </span>
        {principal && <Who principal={principal} />}
      </p>
    </header>
  );
}

function Who({ principal }: { readonly principal: Principal }): JSX.Element {
  const { role, signed_in, read_only, token } = principal;
  if (!signed_in)
    return (
      <span class="who">
        <span>
          You may look. To act: <InWords command={odooPg("console")} /> or <a href="/sign-in">sign in</a>
        </span>
      </span>
    );
  const leave = async (): Promise<void> => {
    await fetch("/sign-out", { method: "POST", headers: { "x-odoo-pg-token": token } });
    location.reload();
  };
  return (
    <span class="who">
      {read_only ? "The console is set to read only" : role === "operator" ? "Operator" : "Viewer"}
      <button type="button" class="link" onClick={() => void leave().catch(() => location.reload())}>
        Sign out
      </button>
    </span>
  );
}

/** What runs, wherever one has scrolled to. */
function Running(props: {
  readonly document: ConsoleDocument;
  readonly now: number;
  readonly openJob: (job: Job) => void;
}): JSX.Element | null {
  const { document, now, openJob } = props;
  const running = startedJobs(document.jobs).filter((job) => stateOfJob(job) === "running");
  if (running.length === 0) return null;
  return (
    <div class="tray">
      {running.map((job) => (
        <button key={job.id} type="button" onClick={() => openJob(job)}>
          <span class="spinner" aria-hidden="true" /> <code>{job.command}</code>{" "}
          <small class="figure">{outcomeOf(job, now)}</small>
        </button>
      ))}
    </div>
  );
}
