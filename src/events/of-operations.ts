import type { NewEvent } from "./event.ts";

/** What a change of the cluster has left in its history: the part that an event tells. */
interface HistoryPart {
  readonly kind: string;
  readonly from: string | null;
  readonly to: string;
  readonly writes_paused_ms: number | null;
}

interface Request {
  readonly operation: "switchover" | "promote" | "reseed" | "rejoin";
  readonly node?: string | undefined;
  readonly to?: string | undefined;
}

/** What an operation did, in one sentence. @param entry what it left in the history, if anything */
export function operationEvent(request: Request, by: string, entry: HistoryPart | undefined): NewEvent {
  const node = entry?.to ?? request.node ?? request.to;
  const from = entry?.from ?? "the primary";
  const paused =
    entry?.writes_paused_ms === null || entry?.writes_paused_ms === undefined
      ? ""
      : `; writes paused ${Math.round(entry.writes_paused_ms)} ms`;
  const sentences = {
    switchover: `${node ?? "?"} is the primary now, after ${from}${paused}`,
    promote: `${node ?? "?"} was promoted: it is the primary now, after ${from}${paused}`,
    reseed: `${node ?? "?"} was rebuilt from ${from}`,
    rejoin: `${node ?? "?"} follows ${from} again`,
  };
  return { kind: request.operation, by, node, text: sentences[request.operation] };
}

/** That an order did not come to its end. */
export function failedEvent(kind: NewEvent["kind"], by: string, message: string): NewEvent {
  return { kind, by, text: `${kind.replaceAll("_", " ")} did not succeed: ${message}` };
}

type Tree = Readonly<Record<string, unknown>>;

/** What `up` did: the settings that differ from those applied before. Names only: values may be long or private. */
export function upEvent(by: string, cluster: string, before: Tree | undefined, after: Tree): NewEvent {
  if (!before) return { kind: "up", by, text: `${cluster} was started for the first time` };
  const changed = changedSettings(before, after);
  return {
    kind: "up",
    by,
    text: changed.length
      ? `${cluster} was brought up with other settings: ${changed.join(", ")}`
      : `${cluster} was brought up; its configuration is unchanged`,
  };
}

/** Dotted names of the settings that differ. Lists are compared whole. */
export function changedSettings(before: Tree, after: Tree, under = ""): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names.flatMap((name) => {
    const [one, other] = [before[name], after[name]];
    if (isTree(one) && isTree(other)) return changedSettings(one, other, `${under}${name}.`);
    return JSON.stringify(one) === JSON.stringify(other) ? [] : [`${under}${name}`];
  });
}

function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
