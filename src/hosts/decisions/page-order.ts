import * as z from "zod";
import { odooPg, type Command } from "../../next-step.ts";
import type { HostOrder } from "../documents/orders.ts";
import type { HostsStatus } from "../documents/report.ts";

/** An order that the page of a host offers. */
export interface PageOrder {
  readonly order: HostOrder;
  /** The command that does the same. */
  readonly command: Command;
  /** What will happen: shown before it is confirmed. */
  readonly will: string;
  /** Its name in the link and the form. */
  readonly fields: Readonly<Record<string, string>>;
}

/** Minutes of a pause by the page; a longer one is a command. */
const PAUSE_MINUTES = 30;

const fieldsSchema = z.object({
  order: z.enum(["switchover", "pause", "resume", "reseed"]),
  to: z.string().optional(),
});

/** Everything that the page of this host offers now. Pure. @param now milliseconds since the epoch */
export function pageOrders(status: HostsStatus, now: number): PageOrder[] {
  const { primary, synchronous, hosts, seen_from: own, paused, store } = status;
  if (!store.answers) return [];
  const targets = hosts.filter(
    ({ name, role }) => role === "database" && name !== primary && synchronous.includes(name),
  );
  const report = hosts.find(({ name }) => name === own)?.report;
  return [
    ...(primary === null ? [] : targets).map(({ name }): PageOrder => ({
      order: { order: "switchover", to: name, dry_run: false },
      command: odooPg("switchover", "--to", name),
      will: `${name} takes over from ${primary ?? ""} in a planned switchover. Writes wait for some seconds, and sessions on ${primary ?? ""} end; nothing is lost.`,
      fields: { order: "switchover", to: name },
    })),
    paused
      ? {
          order: { order: "resume" },
          command: odooPg("resume"),
          will: "Another host takes over again when the primary's is lost.",
          fields: { order: "resume" },
        }
      : {
          order: { order: "pause", until: now + PAUSE_MINUTES * 60_000 },
          command: odooPg("pause", "--for", `${PAUSE_MINUTES}m`),
          will: `For ${PAUSE_MINUTES} minutes no other host takes over, and Patroni restarts no server. It ends by itself.`,
          fields: { order: "pause" },
        },
    ...(report?.role === "database" && own !== primary
      ? [
          {
            order: { order: "reseed", dry_run: false },
            command: odooPg("reseed"),
            will: `The primary is copied beside the data of ${own}, tried, and takes its place; the old data is kept aside. It may take hours, and ${own} is not read from meanwhile.`,
            fields: { order: "reseed" },
          } satisfies PageOrder,
        ]
      : []),
  ];
}

/** The order that a link or a form names, where it is offered now. Pure. */
export function pageOrderOf(
  form: Readonly<Record<string, string>>,
  status: HostsStatus,
  now: number,
): PageOrder | undefined {
  const parsed = fieldsSchema.safeParse(form);
  if (!parsed.success) return undefined;
  const { order, to } = parsed.data;
  return pageOrders(status, now).find(({ fields }) => fields["order"] === order && fields["to"] === to);
}
