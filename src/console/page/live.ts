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
  const listener = new Listener(changed);
  listener.start();
  return listener;
}

class Listener implements Live {
  readonly #changed: () => void;
  readonly #since = performance.now();
  #known: Known = {
    document: undefined,
    receivedAt: 0,
    samples: [],
    principal: undefined,
    failure: undefined,
  };
  #open = false;
  #heardAt: number | undefined;
  #triedAt = this.#since;
  #stream: EventSource | undefined;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  start(): void {
    // A browser has six connections to a host, in all of its tabs: a hidden page gives its own back.
    globalThis.document.addEventListener("visibilitychange", () => {
      if (!globalThis.document.hidden) void this.#begin();
      else if (this.#stream) {
        this.#stream.close();
        this.#stream = undefined;
      }
    });
    void this.#begin();
    setInterval(() => this.#everySecond(), 1000);
  }

  known(): Known {
    return this.#known;
  }

  liveness(): Liveness {
    const heard = { open: this.#open, heardAt: this.#heardAt, since: this.#since };
    return livenessOf(heard, performance.now());
  }

  now(): number {
    const { document, receivedAt } = this.#known;
    return document ? Date.parse(document.at) + performance.now() - receivedAt : Date.now();
  }

  /** A page that was away has missed samples, and a restarted server gives other tokens. */
  async #begin(): Promise<void> {
    await this.#refresh();
    this.#connect();
  }

  async #refresh(): Promise<void> {
    const [principal, document, samples] = await Promise.all([
      get<Principal>("/api/visitor"),
      get<ConsoleDocument>("/api/document"),
      get<Sample[]>("/api/samples"),
    ]);
    if (principal.status === 401) {
      location.assign("/sign-in");
      return;
    }
    this.#learn({
      ...(principal.answer ? { principal: principal.answer } : {}),
      ...(samples.answer ? { samples: samples.answer } : {}),
      ...(document.answer ? received(document.answer) : { failure: document.failure }),
    });
  }

  #connect(): void {
    if (this.#stream) return;
    if (globalThis.document.hidden) {
      if (this.#known.document) this.#heard();
      this.#changed();
      return;
    }
    this.#triedAt = performance.now();
    const source = new EventSource("/api/stream");
    this.#stream = source;
    source.addEventListener("open", () => {
      this.#heard();
      this.#changed();
    });
    source.addEventListener("document", ({ data }: MessageEvent<string>) => {
      this.#heard();
      // What this server sends is made from the same types.
      const document: ConsoleDocument = JSON.parse(data);
      this.#learn(received(document));
    });
    source.addEventListener("sample", ({ data }: MessageEvent<string>) => {
      this.#heard();
      const sample: Sample = JSON.parse(data);
      const oldest = Date.parse(sample.at) - SPAN * 1000;
      const samples = this.#known.samples.filter(({ at }) => Date.parse(at) >= oldest);
      this.#learn({ samples: [...samples, sample] });
    });
    source.addEventListener("ping", () => this.#heard());
    source.addEventListener("error", () => this.#leave(source));
  }

  /** Gives up a stream, and opens another one. */
  #leave(lost: EventSource): void {
    lost.close();
    if (this.#stream !== lost) return;
    this.#stream = undefined;
    this.#open = false;
    this.#changed();
    setTimeout(() => void this.#begin(), PAUSE);
  }

  #everySecond(): void {
    const silence = performance.now() - Math.max(this.#heardAt ?? this.#since, this.#triedAt);
    if (this.#stream && silence > LONGEST_SILENCE) this.#leave(this.#stream);
    if (globalThis.document.hidden && performance.now() - this.#triedAt > HIDDEN_EVERY) void this.#glance();
    this.#changed();
  }

  /** What a hidden tab still shows: the mark in its title. */
  async #glance(): Promise<void> {
    this.#triedAt = performance.now();
    const { answer } = await get<ConsoleDocument>("/api/document");
    if (this.#stream || !answer) return;
    this.#heard();
    this.#learn(received(answer));
  }

  #learn(news: Partial<Known>): void {
    this.#known = { ...this.#known, ...news };
    this.#changed();
  }

  #heard(): void {
    this.#open = true;
    this.#heardAt = performance.now();
  }
}

function received(document: ConsoleDocument): Pick<Known, "document" | "receivedAt" | "failure"> {
  return { document, receivedAt: performance.now(), failure: undefined };
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
