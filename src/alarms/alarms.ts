import { ownPrimary, type Runtime } from "../members/runtime.ts";
import { factsOf } from "../model/observation.ts";
import type { StatusDocument } from "../cluster/documents/status.ts";
import { OdooPgError } from "../errors.ts";
import { recordEvent } from "../events/journal.ts";
import { readPressure } from "../postgres/sql/observing/pressure.ts";
import { monotonic, now, within } from "../system/clock.ts";
import { channelsOf, wordsOf } from "./channels.ts";
import { countOf, decide, NO_ALARMS, type AlarmsState, type PrimaryChange } from "./decide.ts";
import { headline } from "./forms.ts";
import type { AlarmMessage } from "./message.ts";
import { ChannelQueue } from "./queue.ts";
import { conditionsOf, type Pressure } from "./conditions.ts";
import { readAlarms, setAlarmsAside, writeAlarms, type SavedAlarms } from "./state-file.ts";

/** Milliseconds between two rounds, and for the status that a round needs. */
const CHECK_EVERY = 5000;
const STATUS_TIMEOUT = 4000;

/** Milliseconds between two reads of connections, locks and transaction ids, for each, and until one is too old. */
const PRESSURE_EVERY = 60_000;
const PRESSURE_TIMEOUT = 5000;
const PRESSURE_KEPT = 180_000;

/** Milliseconds between two signs of life. */
const ALIVE_EVERY = 60_000;

/** Milliseconds that the last record may take when the agent ends. */
const LAST_RECORD_TIMEOUT = 2000;

/** A channel by which alarms do not arrive. */
export interface FailingChannel {
  readonly name: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly error: string;
}

/** Reports when a trouble begins and when it ends. The agent's loop never waits for any of it. */
export class Alarms {
  #state: AlarmsState | undefined;
  readonly #queues = new Map<string, ChannelQueue>();
  #checking: Promise<void> | undefined;
  #checkedAt = -Infinity;
  #pressure: { readonly at: number; readonly seen: Pressure } | undefined;
  #askedAt = -Infinity;
  #aliveAt = -Infinity;
  #runtime: Runtime | undefined;
  #closed = false;
  /** What the file holds, and the write that is under way. */
  #saved = "";
  #saving: Promise<void> | undefined;
  #complaint = "";
  readonly #called: string;

  /** @param called how odoo-pg is typed on this host, wherever one is */
  constructor(called: string) {
    this.#called = called;
  }

  /** Channels by which alarms do not arrive now. */
  get failing(): FailingChannel[] {
    return [...this.#queues].flatMap(([name, { state }]) =>
      state.failing ? [{ name, since: state.failing.since, error: state.failing.error }] : [],
    );
  }

  /** Begins a round when one is due, and returns at once. Called in every turn of the loop. */
  tick(runtime: Runtime, status: () => Promise<StatusDocument>): void {
    this.#runtime = runtime;
    if (this.#closed || this.#checking || monotonic() - this.#checkedAt < CHECK_EVERY) return;
    this.#checkedAt = monotonic();
    this.#checking = this.#check(runtime, status)
      .catch((error: unknown) => this.#complain(runtime, error))
      .finally(() => {
        this.#checking = undefined;
      });
  }

  /** Ends with a record of what is still to be sent: the next agent goes on with it. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const queue of this.#queues.values()) queue.close();
    const runtime = this.#runtime;
    if (!runtime || !this.#state) return;
    // An agent that was told to end is not missed.
    this.#state = { ...this.#state, looked_at: null };
    await within(LAST_RECORD_TIMEOUT, "the record of alarms", this.#save(runtime)).catch((error: unknown) =>
      this.#complain(runtime, error),
    );
  }

  /** What the last agent left. A damaged record is set aside: active alarms are sent once more, none is lost. */
  async #readSaved({ layout, log }: Runtime): Promise<SavedAlarms | undefined> {
    try {
      return await readAlarms(layout.stateDir);
    } catch (error) {
      if (!(error instanceof OdooPgError)) throw error;
      log("warn", `${error.message} Set aside: ${await setAlarmsAside(layout.stateDir)}`);
      return undefined;
    }
  }

  async #check(runtime: Runtime, status: () => Promise<StatusDocument>): Promise<void> {
    const { config, machine, log } = runtime;
    const saved = this.#state ? undefined : await this.#readSaved(runtime);
    this.#state ??= saved ?? NO_ALARMS;
    this.#syncQueues(runtime, saved?.channels ?? {});
    const document = await within(STATUS_TIMEOUT, "the status", status());
    // The agent may have been told to end meanwhile: what it sees now is the end.
    if (this.#closed) return;
    this.#askForPressure(runtime);
    const { rules } = config.alarms;
    const { state, messages } = decide(
      this.#state,
      {
        cluster: config.cluster,
        host: machine.hostname,
        rules,
        conditions: conditionsOf(document, this.#knownPressure(), rules),
        changes: primaryChanges(runtime),
        configFile: runtime.configFile,
        called: this.#called,
      },
      now(),
    );
    this.#state = state;
    for (const message of messages) {
      log(message.event === "ends" ? "info" : "warn", `alarm ${headline(message)}: ${message.text}`);
      recordAlarm(runtime, message);
    }
    for (const queue of this.#queues.values()) queue.add(messages);
    // First recorded, then sent: after a crash in between the next agent goes on. A full disk does not stop sending.
    await this.#save(runtime).catch((error: unknown) => this.#complain(runtime, error));
    for (const queue of this.#queues.values()) queue.work();
    this.#sayAlive(state, document);
  }

  #syncQueues(runtime: Runtime, saved: SavedAlarms["channels"]): void {
    const channels = new Map(channelsOf(runtime.config).map((channel) => [channel.name as string, channel]));
    for (const [name, queue] of this.#queues) {
      if (channels.has(name)) continue;
      queue.close();
      this.#queues.delete(name);
    }
    for (const [name, channel] of channels) {
      const queue = this.#queues.get(name);
      if (queue) queue.channel = channel;
      else
        this.#queues.set(
          name,
          new ChannelQueue(channel, saved[name], runtime.log, () => {
            this.#save(runtime).catch((error: unknown) => this.#complain(runtime, error));
          }),
        );
    }
  }

  #sayAlive(state: AlarmsState, { cluster, verdict }: StatusDocument): void {
    const { critical, warning } = countOf(state.alarms);
    if (critical > 0 || monotonic() - this.#aliveAt < ALIVE_EVERY) return;
    this.#aliveAt = monotonic();
    const text = `[${cluster}] ${verdict}; alarms that are on: ${warning}`;
    for (const queue of this.#queues.values()) queue.alive(text);
  }

  #knownPressure(): Pressure | undefined {
    return this.#pressure && monotonic() - this.#pressure.at < PRESSURE_KEPT
      ? this.#pressure.seen
      : undefined;
  }

  /** Not waited for: what it finds counts in the next round. */
  #askForPressure(runtime: Runtime): void {
    // Somebody else's primary lets us see too little.
    const primary = ownPrimary(runtime);
    if (!primary || monotonic() - this.#askedAt < PRESSURE_EVERY) return;
    if (!factsOf(primary.observation)) return;
    this.#askedAt = monotonic();
    primary
      .use(readPressure, PRESSURE_TIMEOUT)
      .then((seen) => {
        this.#pressure = { at: monotonic(), seen };
      })
      .catch((error: unknown) => this.#complain(runtime, error));
  }

  /** Writes what has changed; one write after the other, the last with all of it. */
  async #save(runtime: Runtime): Promise<void> {
    const last = this.#saving ?? Promise.resolve();
    const save = last
      .catch(() => {})
      .then(async () => {
        if (!this.#state) return;
        const channels = Object.fromEntries([...this.#queues].map(([name, { state }]) => [name, state]));
        const saved = { version: 1 as const, ...this.#state, channels };
        const text = JSON.stringify(saved);
        if (text === this.#saved) return;
        await writeAlarms(runtime.layout.stateDir, saved);
        this.#saved = text;
      });
    this.#saving = save;
    await save;
  }

  /** The same complaint once, until another comes. */
  #complain({ log }: Runtime, error: unknown): void {
    const words = wordsOf(error);
    if (words === this.#complaint) return;
    this.#complaint = words;
    log("error", `alarms: ${words}`);
  }
}

/** What merely happened stands in the journal already. */
function recordAlarm({ layout, owner }: Runtime, { event, rule, subject, text }: AlarmMessage): void {
  if (event !== "begins" && event !== "ends") return;
  const kind = event === "begins" ? "alarm_began" : "alarm_ended";
  recordEvent(
    layout.stateDir,
    { kind, by: "agent", text: `${rule}: ${text}`, node: subject ?? undefined },
    owner,
  );
}

/** Switchovers and promotions of the cluster's history, the oldest first. */
function primaryChanges({ state }: Runtime): PrimaryChange[] {
  return state.history
    .filter(({ kind }) => kind === "switchover" || kind === "promote")
    .map(({ at, kind, from, to, why, writes_paused_ms: paused }) => ({
      at,
      to,
      text: `${to} is the primary now${from === null ? "" : `, after ${from}`} (${kind}: ${why}).${paused === null ? "" : ` Writes paused for ${paused} ms.`}`,
    }));
}
