import { expect, test } from "vitest";
import { eventStream } from "../../src/console/event-stream.ts";
import { Feed } from "../../src/console/feed.ts";
import type { ConsoleListener, ConsoleSource, GatheredDocument } from "../../src/console/source.ts";
import { waitFor } from "../support/wait.ts";
import { gathered } from "./gathered.ts";

/** A source of which the test says when there is something new. */
class Source implements ConsoleSource {
  readonly called = "odoo-pg";
  configFile(): undefined {}

  readonly listeners = new Set<ConsoleListener>();
  asked = 0;

  async document(): Promise<GatheredDocument> {
    this.asked += 1;
    return gathered("first");
  }

  async samples() {
    return [];
  }

  subscribe(listener: ConsoleListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

const sample = (at: string) => ({
  at,
  nodes: [],
  connections: null,
  max_connections: null,
  transactions_per_second: null,
  wal_bytes_per_second: null,
  database_bytes: null,
});

const forever = { isOperator: true, mayGoOn: () => true };

test("a reader that is slow gets the newest document and the last samples, and not all in between", async () => {
  const source = new Source();
  const feed = new Feed(source, () => []);
  const reader = eventStream(feed, forever).getReader();
  const decoder = new TextDecoder();
  const next = async (): Promise<string> => decoder.decode((await reader.read()).value);
  expect(await next()).toContain('"at":"first"');
  for (let count = 1; count <= 1000; count++) {
    for (const listener of source.listeners) {
      listener.document(gathered(`change ${count}`));
      listener.sample(sample(`sample ${count}`));
    }
  }
  for (let count = 991; count <= 1000; count++) expect(await next()).toContain(`"at":"sample ${count}"`);
  expect(await next()).toContain('"at":"change 1000"');
  await reader.cancel();
});

test("pages share one subscription and one gathering; with the last one that goes, both end", async () => {
  const source = new Source();
  const feed = new Feed(source, () => []);
  expect(source.listeners.size).toBe(0);
  const readers = Array.from({ length: 5 }, () => eventStream(feed, forever).getReader());
  await readers[0]?.read();
  await Promise.all(readers.slice(1).map(async (reader) => await reader.read()));
  expect(source.listeners.size).toBe(1);
  expect(source.asked).toBe(1);
  for (const reader of readers) await reader.cancel();
  expect(source.listeners.size).toBe(0);
  expect(feed.followers).toBe(0);
});

test("a stream whose reader goes away while it waits, or may no longer see it, ends", async () => {
  const source = new Source();
  const feed = new Feed(source, () => []);
  let allowed = true;
  const reader = eventStream(feed, { isOperator: false, mayGoOn: () => allowed }).getReader();
  await reader.read();
  const waiting = reader.read();
  allowed = false;
  feed.changed();
  expect((await waiting).done).toBe(true);
  const gone = eventStream(feed, forever).getReader();
  await gone.read();
  void gone.read().catch(() => {});
  await gone.cancel();
  await waitFor("nobody to follow", () => feed.followers === 0);
});

test("a source that fails ends the stream", async () => {
  const source = new Source();
  source.document = async () => await Promise.reject(new Error("nothing runs"));
  const feed = new Feed(source, () => []);
  const reader = eventStream(feed, forever).getReader();
  expect((await reader.read()).done).toBe(true);
  expect(feed.followers).toBe(0);
});
