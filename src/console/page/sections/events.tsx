import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { ClusterEvent, Job } from "../../../cluster/documents/console.ts";
import { type JobState, outcomeOf, startedJobs, stateOfJob } from "../model/actions.ts";
import { clock, dayName } from "../model/show.ts";
import type { Level } from "../model/verdict.ts";
import { Fold } from "../parts/fold.tsx";
import { Mark } from "../parts/mark.tsx";
import { Section } from "../parts/section.tsx";

const FEW = 12;
const FEW_JOBS = 5;

const JOB_LEVELS: Readonly<Record<JobState, Level>> = { running: "off", done: "ok", failed: "critical" };

const TROUBLE: readonly string[] = ["node_down", "alarm_began"];

export function Events(props: {
  readonly events: readonly ClusterEvent[];
  readonly jobs: readonly Job[];
  readonly now: number;
  readonly openJob: (job: Job) => void;
}): JSX.Element {
  const { events, now, openJob } = props;
  const jobs = startedJobs(props.jobs).slice(0, FEW_JOBS);
  const [all, setAll] = useState(false);
  const shown = all ? events : events.slice(0, FEW);
  return (
    <Section id="events" title="Who did what">
      {jobs.length > 0 && (
        <>
          <h3>Started from this page</h3>
          <ul class="rows">
            {jobs.map((job) => (
              <li key={job.id}>
                <Mark level={JOB_LEVELS[stateOfJob(job)]} silent />
                <div>
                  <p>
                    <Fold lines={3}>
                      <code>{job.command}</code>
                    </Fold>
                  </p>
                  <small>
                    {clock(job.started_at, now)} by {job.by}. {outcomeOf(job, now)}
                  </small>
                </div>
                <button type="button" class="link" onClick={() => openJob(job)}>
                  Show<span class="unseen"> {job.command}</span>
                </button>
              </li>
            ))}
          </ul>
          <h3>Events</h3>
        </>
      )}
      {events.length === 0 && <p class="quiet">Nothing has happened yet.</p>}
      <ol class="events">
        {shown.map(({ at, kind, text, by }, index) => {
          const name = dayName(at, now);
          const first = index === 0 || name !== dayName(shown[index - 1]?.at ?? "", now);
          return (
            <li key={`${at} ${text}`} class={first ? "first" : undefined}>
              <span class="day">{first ? name : ""}</span>
              <time dateTime={at} class="figure">
                {clock(at, Date.parse(at))}
              </time>
              <span>
                <Fold lines={3}>
                  {TROUBLE.includes(kind) && <Mark level="warning" />} {text} <small>{by}</small>
                </Fold>
              </span>
            </li>
          );
        })}
      </ol>
      {shown.length < events.length && (
        <p>
          <button type="button" class="link" onClick={() => setAll(true)}>
            Show all {events.length}
          </button>
        </p>
      )}
    </Section>
  );
}
