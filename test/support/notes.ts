import type { Progress } from "../../src/progress.ts";
import type { Log } from "../../src/system/log.ts";

/** A log and a progress whose lines are kept. */
export function notes(): { readonly lines: string[]; readonly log: Log; readonly progress: Progress } {
  const lines: string[] = [];
  return {
    lines,
    log: (level, text) => void lines.push(`${level} ${text}`),
    progress: {
      step: (node, text) => void lines.push(`step ${node ?? "cluster"} ${text}`),
      bytes: () => {},
      note: (text) => void lines.push(`note ${text}`),
    },
  };
}

/** A promise that is settled from outside, as of something that takes its time. */
export function deferred(): {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
} {
  let resolve = (): void => {};
  let reject: (error: Error) => void = resolve;
  const promise = new Promise<void>((settle, fail) => {
    resolve = settle;
    reject = fail;
  });
  return { promise, resolve, reject };
}
