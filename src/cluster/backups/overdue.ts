import { nextTime, parseSchedule } from "../../config/values/cron.ts";

/**
 * Whether two of a schedule's times have passed since something was last done. Never, where it is off. Pure.
 * @param since milliseconds since the epoch, as `now`
 * @param slack milliseconds that it may take
 */
export function isOverdue(text: string, since: number, now: number, slack: number): boolean {
  const schedule = text === "off" ? "off" : parseSchedule(text);
  if (typeof schedule === "string") return false;
  const due = nextTime(schedule, since);
  const after = due === undefined ? undefined : nextTime(schedule, due);
  return after !== undefined && now > after + slack;
}
