import { monotonic, pause } from "../system/clock.ts";
import type { Sample } from "../cluster/documents/console.ts";
import type { Feed } from "./feed.ts";

/** Minimum milliseconds between two documents, and milliseconds between two pings. */
const DOCUMENT_EVERY = 1000;
const PING_EVERY = 15_000;

/** Samples queued for a slow reader; older ones are dropped, as the reader can ask for all of them. */
const SAMPLES = 10;

export interface StreamOptions {
  readonly isOperator: boolean;
  /** Whether the reader may still see it: checked at each event. */
  readonly mayGoOn: () => boolean;
}

/**
 * Server-sent events. The next one is made when the reader has taken the last one: a slow reader misses documents in
 * between, and nothing piles up.
 */
export function eventStream(feed: Feed, options: StreamOptions): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let changed = true;
  let samples: Sample[] = [];
  let sentAt = -Infinity;
  let saidAt = monotonic();
  let over = false;
  let sleep: AbortController | undefined;

  const wake = (): void => sleep?.abort();
  const leave = feed.follow({
    changed: () => {
      changed = true;
      wake();
    },
    sample: (sample) => {
      samples = [...samples, sample].slice(-SAMPLES);
      wake();
    },
  });
  const end = (): void => {
    over = true;
    leave();
    wake();
  };

  const next = async (): Promise<string | undefined> => {
    const sample = samples.shift();
    if (sample) return event("sample", JSON.stringify(sample));
    const at = monotonic();
    if (changed && at - sentAt >= DOCUMENT_EVERY) {
      changed = false;
      sentAt = at;
      return event("document", await feed.text(options.isOperator));
    }
    return at - saidAt >= PING_EVERY ? event("ping", "{}") : undefined;
  };

  const nextOrWait = async (): Promise<string | undefined> => {
    for (;;) {
      if (over || !options.mayGoOn()) return undefined;
      const text = await next();
      if (text !== undefined) return text;
      // Something may have arrived while the last document was made.
      if (samples.length > 0) continue;
      const at = monotonic();
      const due = changed ? sentAt + DOCUMENT_EVERY : saidAt + PING_EVERY;
      sleep = new AbortController();
      // An aborted pause rejects: it was woken.
      await pause(Math.max(1, due - at), sleep.signal).catch(() => {});
    }
  };

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        // An error while gathering ends the stream: the page opens it again.
        const text = await nextOrWait().catch(() => undefined);
        if (over) return;
        if (text === undefined) {
          end();
          controller.close();
          return;
        }
        saidAt = monotonic();
        controller.enqueue(encoder.encode(text));
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
}

function event(name: string, data: string): string {
  return `event: ${name}\ndata: ${data}\n\n`;
}
