import * as z from "zod";
import { now, pause } from "../system/clock.ts";
import type { Log } from "../system/log.ts";
import { wordsOf, type Channel } from "./channels.ts";
import { messageSchema, type AlarmMessage } from "./message.ts";

/** Messages that wait for one channel at most; beyond, the oldest is dropped. */
const MOST_WAITING = 100;

/** Milliseconds between two attempts, doubled each time up to the last. */
const FIRST_WAIT = 5000;
const LAST_WAIT = 600_000;

/** Milliseconds after which a message is no longer of use. */
const LONGEST_WAIT = 24 * 3600 * 1000;

export const queueStateSchema = z.object({
  waiting: messageSchema.array(),
  /** Since when (milliseconds since the epoch) nothing arrives by this channel, and why. */
  failing: z.object({ since: z.number(), error: z.string() }).nullable(),
});

/** What a channel still has to send, and how it does. */
export type QueueState = z.output<typeof queueStateSchema>;

/** Milliseconds to wait after so many failures one after another. */
export function waitAfter(failures: number): number {
  return Math.min(LAST_WAIT, FIRST_WAIT * 2 ** Math.max(0, failures - 1));
}

/** Sends messages by one channel, in order, at its own pace: the caller never waits. */
export class ChannelQueue {
  /** Replaced when the configuration changes. */
  channel: Channel;
  readonly #log: Log;
  readonly #changed: () => void;
  readonly #closed = new AbortController();
  #waiting: AlarmMessage[];
  #failing: QueueState["failing"];
  #work: Promise<void> | undefined;

  /** @param changed called when what must outlive the agent has changed */
  constructor(channel: Channel, before: QueueState | undefined, log: Log, changed: () => void) {
    this.channel = channel;
    this.#waiting = [...(before?.waiting ?? [])];
    this.#failing = before?.failing ?? null;
    this.#log = log;
    this.#changed = changed;
  }

  get state(): QueueState {
    return { waiting: this.#waiting, failing: this.#failing };
  }

  add(messages: readonly AlarmMessage[]): void {
    this.#waiting.push(...messages);
    const dropped = this.#waiting.splice(0, Math.max(0, this.#waiting.length - MOST_WAITING));
    for (const message of dropped) this.#drop(message, "too many wait");
  }

  /** Goes on with what waits. Returns at once. */
  work(): void {
    if (this.#work || this.#closed.signal.aborted || this.#waiting.length === 0) return;
    this.#work = this.#deliverAll().finally(() => {
      this.#work = undefined;
    });
  }

  /** Says that all is well, unless something more important is under way. Returns at once. */
  alive(text: string): void {
    const { alive } = this.channel;
    if (!alive || this.#work || this.#closed.signal.aborted || this.#waiting.length > 0) return;
    this.#work = alive(text)
      .then(
        () => this.#arrived(undefined),
        (error: unknown) => this.#failed(error),
      )
      .finally(() => {
        this.#work = undefined;
        this.work();
      });
  }

  /** Begins nothing new. What still waits is for the next agent. */
  close(): void {
    this.#closed.abort();
  }

  async #deliverAll(): Promise<void> {
    let failures = 0;
    while (!this.#closed.signal.aborted) {
      const [message] = this.#waiting;
      if (!message) return;
      if (now() - Date.parse(message.at) > LONGEST_WAIT) {
        this.#waiting.shift();
        this.#drop(message, "it could not be delivered for a day");
        continue;
      }
      try {
        const remark = await this.channel.deliver(message);
        failures = 0;
        // It may have been dropped meanwhile, to make room.
        if (this.#waiting[0] === message) this.#waiting.shift();
        this.#arrived(remark);
      } catch (error) {
        failures += 1;
        this.#failed(error);
        // An aborted pause rejects: that is the end.
        await pause(waitAfter(failures), this.#closed.signal).catch(() => {});
      }
    }
  }

  #arrived(remark: string | undefined): void {
    if (remark !== undefined) this.#log("warn", `alarm by ${this.channel.name}: ${remark}`);
    if (this.#failing) this.#log("info", `alarms by ${this.channel.name} arrive again`);
    this.#failing = null;
    this.#changed();
  }

  #failed(error: unknown): void {
    const words = wordsOf(error);
    // The same words once, however often it is tried.
    if (this.#failing?.error === words) return;
    this.#log("warn", `alarms by ${this.channel.name} do not arrive: ${words}`);
    this.#failing = { since: this.#failing?.since ?? now(), error: words };
    this.#changed();
  }

  #drop({ rule, event }: AlarmMessage, why: string): void {
    this.#log("error", `alarm by ${this.channel.name} dropped (${rule} ${event}): ${why}`);
    this.#changed();
  }
}
