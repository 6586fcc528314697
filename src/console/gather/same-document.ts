import type { GatheredDocument } from "../source.ts";

/** The parts of a document that make it a different one: all except the lag, which changes by itself. */
export function essenceOf(document: GatheredDocument): string {
  const { status, activity } = document;
  return JSON.stringify({
    ...document,
    at: "",
    activity: { ...activity, at: activity.at === null ? null : "" },
    status: {
      ...status,
      at: "",
      backups: status.backups && { ...status.backups, age_seconds: null },
      nodes: status.nodes.map((node) => ({ ...node, last_seen: null })),
    },
  });
}
