import type { Action } from "../../../model/console-actions.ts";
import type { Job, JobProgress } from "../../../cluster/documents/console.ts";
import { showSeconds } from "../../../model/quantities.ts";
import { bytes, UNKNOWN } from "./show.ts";

/** The text of a button that leads to it. */
export function titleOf(action: Action): string {
  let title: string;
  switch (action.kind) {
    case "backup":
      title = action.database === undefined ? "Back up now" : `Back up ${action.database}`;
      break;
    case "prove":
      title = action.backup === undefined ? "Prove the newest backups" : `Prove ${action.backup}`;
      break;
    case "prove_second":
      title = "Prove a second";
      break;
    case "restore_upload":
      title = action.neutralize ? "Restore the file, neutralised" : "Restore the file, live";
      break;
    case "restore_moment":
    case "restore_copy":
      title = action.neutralize ? "Restore to a copy, neutralised" : "Restore to a copy, live";
      break;
    case "switchover":
      title = action.to === undefined ? "Switch over" : `Switch over to ${action.to}`;
      break;
    case "reseed":
      title = `Rebuild ${action.node}`;
      break;
    case "rejoin":
      title = `Bring ${action.node} back as a replica`;
      break;
    case "copy":
      title = action.neutralize
        ? `Copy ${action.source} to staging, neutralised`
        : `Copy ${action.source}, live`;
      break;
    case "refresh_staging":
      title = `Refresh ${action.copy} from ${action.source}`;
      break;
    case "rename_database":
      title = `Rename ${action.database}`;
      break;
    case "drop_database":
      title = `Drop ${action.database}`;
      break;
    case "accept_setting":
      title = `Accept ${action.setting}`;
      break;
    case "count_statements":
      title = "Count statements";
      break;
    case "fix":
      title = "Put it right";
      break;
    case "test_alarms":
      title = "Send a test";
      break;
    case "set_alarm":
      title = action.channel === "slack" ? "Alarms to Slack" : "Alarms to a webhook";
      break;
    case "unset_alarm":
      title = `No longer by ${action.channel}`;
      break;
    case "set_mail":
      title = "Alarms by mail";
      break;
    case "apply":
      title = "Apply the configuration";
      break;
    case "cancel_session":
      title = `Cancel the statement of session ${action.pid}`;
      break;
    case "terminate_session":
      title = `End session ${action.pid}`;
      break;
  }
  return title;
}

/** The word to type before a severe step; undefined where one click is enough. */
export function wordToType(action: Action): string | undefined {
  if (action.kind === "reseed" || action.kind === "rejoin") return action.node;
  if (action.kind === "refresh_staging") return action.copy;
  return action.kind === "drop_database" ? action.database : undefined;
}

export type JobState = "running" | "done" | "failed";

export function stateOfJob({ ended_at, exit_status }: Job): JobState {
  if (ended_at === null) return "running";
  return exit_status === 0 ? "done" : "failed";
}

/** How a job ended, or that it still runs, in one sentence. `now` in milliseconds. */
export function outcomeOf(job: Job, now: number): string {
  const seconds = Math.max(
    0,
    Math.round(
      ((job.ended_at === null ? now : Date.parse(job.ended_at)) - Date.parse(job.started_at)) / 1000,
    ),
  );
  const state = stateOfJob(job);
  if (state === "running") return `Running for ${seconds} s.`;
  if (state === "done") return `Done in ${seconds} s.`;
  return `It ended with status ${job.exit_status ?? UNKNOWN} after ${seconds} s.`;
}

/** `41 % of 1.2 GB, 2 min left`. */
export function farText({ done_bytes, total_bytes, left_seconds }: JobProgress): string {
  const share = total_bytes > 0 ? Math.min(1, done_bytes / total_bytes) : 0;
  const left = left_seconds === null ? "" : `, ${showSeconds(left_seconds)} left`;
  return `${Math.floor(share * 100)} % of ${bytes(total_bytes)}${left}`;
}

/** When the last job that changed something ended, as reported; "" before there is one. */
export function lastEnd(jobs: readonly Job[]): string {
  return startedJobs(jobs).reduce((last, { ended_at: end }) => (end !== null && end > last ? end : last), "");
}

/** Jobs that the list shows: a mere plan did nothing. */
export function startedJobs(jobs: readonly Job[]): readonly Job[] {
  return jobs.filter(({ plan }) => !plan);
}
