import type { GatheredDocument } from "../source.ts";

/** What of a document makes it another one: all but how late it is, which changes by itself. */
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
