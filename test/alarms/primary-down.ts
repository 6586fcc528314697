import type { AlarmMessage } from "../../src/alarms/message.ts";
import { odooPg } from "../../src/next-step.ts";

/** What is sent when a primary is down. */
export const PRIMARY_DOWN: AlarmMessage = {
  version: 1,
  id: "prod:primary_down:pg1:1795316400000:begins",
  event: "begins",
  cluster: "prod",
  host: "db1",
  rule: "primary_down",
  severity: "critical",
  subject: "pg1",
  text: "pg1, the primary, is not running: nothing can be written.",
  next: "odoo-pg logs pg1",
  next_step: [odooPg("logs", "pg1")],
  more: "/clone/dist/odoo-pg status --full",
  at: "2026-11-22T03:00:15.000Z",
  since: "2026-11-22T03:00:00.000Z",
  on: { critical: 1, warning: 0 },
};
