import type { ConsoleDocument, Sample, Principal } from "../../cluster/documents/console.ts";
import { LONGEST_SILENCE, livenessOf, type Liveness } from "./model/connection.ts";
import { failureOf, type Failure } from "./model/failure.ts";
import { SPAN } from "./model/graphs.ts";

/** The known state of the server; each change makes a new object. */
export interface Known {
  readonly document: ConsoleDocument | undefined;
  /** When the document arrived, on the page's steady clock. */
  readonly receivedAt: number;
  readonly samples: readonly Sample[];
  readonly principal: Principal | undefined;
  /** Why there is no document. */
  readonly failure: Failure | undefined;
}

export interface Live {
  readonly known: () => Known;
  readonly liveness: () => Liveness;
  /** The server's present time, milliseconds since the epoch: the clock of the browser may be wrong. */
  readonly now: () => number;
}

/** Milliseconds between two attempts. */
const PAUSE = 2000;

/** Milliseconds between two reads of a hidden tab. */
const HIDDEN_EVERY = 15_000;

/** Timeout of an answer, in milliseconds. */
const TIMEOUT = 10_000;

/**
 * Listens to the server for as long as the page is open, and calls `changed` whenever there is something else to show,
 * and once a second, as ages grow.
 */
export function listen(changed: () => void): Live {
  let known: Known = {
    document: undefined,
    receivedAt: 0,
    samples: [],
    principal: undefined,
    failure: undefined,
  };
  let open = false;
  let heardAt: number | undefined;
  const since = performance.now();
  let triedAt = since;
  let stream: EventSource | undefined;

  const learn = (news: Partial<Known>): void => {
    known = { ...known, ...news };
    changed();
  };
  const heard = (): void => {
    open = true;
    heardAt = performance.now();
  };

  const connect = (): void => {
    if (stream) return;
    if (globalThis.document.hidden) {
      if (known.document) heard();
      changed();
      return;
    }
    triedAt = performance.now();
    const source = new EventSource("/api/stream");
    stream = source;
    source.addEventListener("open", () => {
      heard();
      changed();
    });
    source.addEventListener("document", ({ data }: MessageEvent<string>) => {
      heard();
      // What this server sends is made from the same types.
      const document: ConsoleDocument = JSON.parse(data);
      learn({
        document,
        receivedAt: performance.now(),
        failure: undefined,
      });
    });
    source.addEventListener("sample", ({ data }: MessageEvent<string>) => {
      heard();
      const sample: Sample = JSON.parse(data);
      const oldest = Date.parse(sample.at) - SPAN * 1000;
      learn({ samples: [...known.samples.filter(({ at }) => Date.parse(at) >= oldest), sample] });
    });
    source.addEventListener("ping", heard);
    source.addEventListener("error", () => leave(source));
  };

  /** Gives up a stream, and opens another one. */
  const leave = (lost: EventSource): void => {
    lost.close();
    if (stream !== lost) return;
    stream = undefined;
    open = false;
    changed();
    setTimeout(() => void begin(), PAUSE);
  };

  /** A page that was away has missed samples, and a restarted server gives other tokens. */
  const begin = async (): Promise<void> => {
    await refresh();
    connect();
  };

  const refresh = async (): Promise<void> => {
    const [principal, document, samples] = await Promise.all([
      get<Principal>("/api/visitor"),
      get<ConsoleDocument>("/api/document"),
      get<Sample[]>("/api/samples"),
    ]);
    if (principal.status === 401) {
      location.assign("/sign-in");
      return;
    }
    learn({
      ...(principal.answer ? { principal: principal.answer } : {}),
      ...(samples.answer ? { samples: samples.answer } : {}),
      ...(document.answer
        ? { document: document.answer, receivedAt: performance.now(), failure: undefined }
        : { failure: document.failure }),
    });
  };

  /** What a hidden tab still shows: the mark in its title. */
  const glance = async (): Promise<void> => {
    triedAt = performance.now();
    const { answer } = await get<ConsoleDocument>("/api/document");
    if (stream || !answer) return;
    heard();
    learn({ document: answer, receivedAt: performance.now(), failure: undefined });
  };

  // A browser has six connections to a host, in all of its tabs: a hidden page gives its own back.
  globalThis.document.addEventListener("visibilitychange", () => {
    if (!globalThis.document.hidden) void begin();
    else if (stream) {
      stream.close();
      stream = undefined;
    }
  });

  void begin();
  setInterval(() => {
    const silence = performance.now() - Math.max(heardAt ?? since, triedAt);
    if (stream && silence > LONGEST_SILENCE) leave(stream);
    if (globalThis.document.hidden && performance.now() - triedAt > HIDDEN_EVERY) void glance();
    changed();
  }, 1000);

  return {
    known: () => known,
    liveness: () => livenessOf({ open, heardAt, since }, performance.now()),
    now: () =>
      known.document ? Date.parse(known.document.at) + performance.now() - known.receivedAt : Date.now(),
  };
}

interface Got<T> {
  /** Undefined where nothing answered. */
  readonly status: number | undefined;
  readonly answer: T | undefined;
  readonly failure: Failure | undefined;
}

async function get<T>(path: string): Promise<Got<T>> {
  try {
    const response = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT) });
    const { status } = response;
    if (response.ok) return { status, answer: await response.json(), failure: undefined };
    const error: unknown = await response.json().catch(() => undefined);
    return { status, answer: undefined, failure: failureOf(error, status) };
  } catch {
    return { status: undefined, answer: undefined, failure: undefined };
  }
}
