import type { ComponentType, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { ConsoleDocument, Job, Principal } from "../../cluster/documents/console.ts";
import { odooPg } from "../../next-step.ts";
import type { Live } from "./live.ts";
import { farText, lastEnd, outcomeOf, stateOfJob, startedJobs } from "./model/actions.ts";
import type { Liveness } from "./model/connection.ts";
import { bytes, UNKNOWN, zone } from "./model/show.ts";
import { addressOf, routeOf, VIEWS, type Route, type ViewName } from "./model/routes.ts";
import { together, pageTitle } from "./model/verdict.ts";
import type { Ask, Request } from "./parts/ask.ts";
import { Databases } from "./sections/databases.tsx";
import type { ActionDialog, JobDialog } from "./dialogs/action-dialog.tsx";
import { Events } from "./sections/events.tsx";
import { FailureNote } from "./parts/failure-note.tsx";
import { Graphs } from "./sections/graphs.tsx";
import { Later } from "./parts/later.tsx";
import { Mark } from "./parts/mark.tsx";
import { InWords, TypedThere } from "./parts/next.tsx";
import { Nodes } from "./sections/nodes.tsx";
import { Recovery } from "./sections/recovery.tsx";
import { Slow } from "./sections/slow.tsx";
import { Verdict } from "./sections/verdict.tsx";
import { LastEnd } from "./read.ts";
import type { ViewProps } from "./views/view.ts";

/** Parts that are not visible at first, and loaded on demand. */
const LATER: Readonly<Record<Exclude<ViewName, "">, () => Promise<ComponentType<ViewProps>>>> = {
  backups: async () => (await import("./views/backups.tsx")).Backups,
  checks: async () => (await import("./views/checks.tsx")).Checks,
  statements: async () => (await import("./views/statements.tsx")).Statements,
  settings: async () => (await import("./views/settings.tsx")).Settings,
  logs: async () => (await import("./views/logs.tsx")).Logs,
  roles: async () => (await import("./views/roles.tsx")).Roles,
  alarms: async () => (await import("./views/alarms.tsx")).Alarms,
};
const asking = async (): Promise<typeof ActionDialog> =>
  (await import("./dialogs/action-dialog.tsx")).ActionDialog;
const showing = async (): Promise<typeof JobDialog> =>
  (await import("./dialogs/action-dialog.tsx")).JobDialog;

/** The whole page, in the order of its questions. */
export function Console({ live }: { readonly live: Live }): JSX.Element {
  const { document, samples, principal, failure } = live.known();
  const liveness = live.liveness();
  const now = live.now();
  const [request, setRequest] = useState<Request>();
  const [job, setJob] = useState<Job>();
  const route = useRoute();
  const title = pageTitle(document, liveness.live);
  useEffect(() => {
    globalThis.document.title = title;
  }, [title]);
  const mayAct = principal?.role === "operator" && !principal.read_only;
  // After the first paint, and before a click: by then the server may be gone.
  useEffect(() => {
    if (mayAct) void asking().catch(() => {});
  }, [mayAct]);

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
  const ask = mayAct ? open : undefined;
  const close = (): void => {
    setRequest(undefined);
    setJob(undefined);
  };
  const dialog = { document, now, token: principal?.token ?? "", ask: open, close };
  return (
    <TypedThere.Provider value={{ called: document.called, configFile: document.config_file }}>
      <Top document={document} liveness={liveness} principal={principal} />
      {principal?.role === "operator" && <Parts view={route.view} />}
      {route.view === "" ? (
        <main>
          <Verdict document={document} liveness={liveness} ask={ask} />
          <Recovery document={document} now={now} ask={ask} />
          <Nodes document={document} now={now} ask={ask} />
          <Graphs samples={samples} events={document.events} now={now} />
          <Databases document={document} now={now} ask={ask} />
          <Slow activity={document.activity} now={now} ask={ask} />
          <Events events={document.events} jobs={document.jobs} now={now} openJob={setJob} />
        </main>
      ) : (
        <main>
          <InOneLine document={document} liveness={liveness} />
          <LastEnd.Provider value={lastEnd(document.jobs)}>
            <Later
              key={route.view}
              load={LATER[route.view]}
              given={{ document, now, ask, wish: route.wish }}
            />
          </LastEnd.Provider>
        </main>
      )}
      <footer class="foot">Times are in {zone(now)}, as in this browser.</footer>
      {request && <Later key={JSON.stringify(request)} load={asking} given={{ ...dialog, request }} />}
      {!request && job && <Later load={showing} given={{ ...dialog, job }} />}
      {!request && !job && <Running document={document} now={now} openJob={setJob} />}
    </TypedThere.Provider>
  );
}

/** The address that the page has now. */
function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const moved = (): void => setHash(location.hash);
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return routeOf(hash);
}

function Parts({ view }: { readonly view: ViewName }): JSX.Element {
  const nav = useRef<HTMLElement>(null);
  // On a phone not all of them have room.
  useEffect(() => {
    const current = nav.current?.querySelector<HTMLElement>("[aria-current]");
    if (nav.current && current) nav.current.scrollLeft = current.offsetLeft - current.offsetWidth;
  }, [view]);
  return (
    <nav ref={nav} class="parts" aria-label="Parts of the console">
      {VIEWS.map((one) => (
        <a key={one.view} href={addressOf(one.view)} aria-current={one.view === view ? "page" : undefined}>
          {one.title}
        </a>
      ))}
    </nav>
  );
}

/** The status, visible from every part. */
function InOneLine(props: { readonly document: ConsoleDocument; readonly liveness: Liveness }): JSX.Element {
  const { document, liveness } = props;
  return (
    <p class="in-one-line">
      <Mark level={liveness.live ? document.verdict.level : "unknown"} />{" "}
      <a href={addressOf("")}>{together(document.verdict).head}</a>
    </p>
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
          You may view. To act: <InWords command={odooPg("console")} /> or <a href="/sign-in">sign in</a>
        </span>
      </span>
    );
  const leave = async (): Promise<void> => {
    await fetch("/sign-out", { method: "POST", headers: { "x-odoo-pg-token": token } });
    location.reload();
  };
  return (
    <span class="who">
      {read_only ? "The console is read-only" : role === "operator" ? "Operator" : "Viewer"}
      <button type="button" class="link" onClick={() => void leave().catch(() => location.reload())}>
        Sign out
      </button>
    </span>
  );
}

/** Running jobs, visible wherever the page is scrolled. */
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
          <small class="figure">{job.progress ? farText(job.progress) : outcomeOf(job, now)}</small>
        </button>
      ))}
    </div>
  );
}
