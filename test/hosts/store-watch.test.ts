import { randomInt } from "node:crypto";
import * as z from "zod";
import { readdirSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import { CLIENT_PORT, Etcd } from "../../src/consensus/etcd.ts";
import { StoreWatch } from "../../src/hosts/agent/store-watch.ts";
import {
  documentSchema,
  newHostId,
  type ClusterDocument,
  type Host,
} from "../../src/hosts/documents/record.ts";
import { revokedNow } from "../../src/hosts/decisions/certificates/revocation.ts";
import { OwnRegister } from "../../src/hosts/revoking/own-register.ts";
import { noteOf } from "../../src/hosts/joining/authority.ts";
import { writeFileAtomic } from "../../src/system/files/files.ts";
import type { Log } from "../../src/system/log.ts";
import { readMachine } from "../../src/system/machine.ts";
import { serveTls } from "../../src/system/network/mutual-tls.ts";
import { withCertificate } from "./authority.ts";
import { documentOf, recordOf } from "./standins.ts";
import { atEnd } from "../support/scope.ts";

const base64 = (text: string): string => Buffer.from(text, "utf8").toString("base64");
const fromBase64 = (text: string): string => Buffer.from(text, "base64").toString("utf8");

const rangeSchema = z.object({ request_range: z.object({ key: z.string(), range_end: z.string() }) });
const putSchema = z.object({ request_put: z.object({ key: z.string(), value: z.string() }) });
const transactionSchema = z.object({ success: z.union([rangeSchema, putSchema]).array() });

/** Stands in for the store: answers what a look asks, as etcd's gateway does, and counts the questions by their path. */
class StoreOfTest {
  readonly keys = new Map<string, { readonly value: string; readonly lease?: string }>();
  readonly questions: string[] = [];
  secondsLeft = 19;

  /** The questions since the last call. */
  asked(): readonly string[] {
    return this.questions.splice(0);
  }

  answer(path: string, body: string): unknown {
    this.questions.push(path);
    if (path === "/v3/lease/timetolive") return { TTL: String(this.secondsLeft) };
    const { success } = transactionSchema.parse(JSON.parse(body));
    const responses = success.map((asked) => {
      if ("request_put" in asked) {
        const { key, value } = asked.request_put;
        this.keys.set(fromBase64(key), { value: fromBase64(value) });
        return { response_put: {} };
      }
      const { key, range_end: end } = asked.request_range;
      const kvs = [...this.keys]
        .filter(([name]) => name >= fromBase64(key) && name < fromBase64(end))
        .map(([name, { value, lease }]) => ({ key: base64(name), value: base64(value), lease }));
      // What is empty is left out.
      return { response_range: { header: { revision: "7" }, ...(kvs.length ? { kvs } : {}) } };
    });
    return { header: { revision: "7" }, succeeded: true, responses };
  }
}

const DOCUMENT = "/odoo-pg-hosts/odoo/document";

/** One host's view of a store of its own, and how it looks after the agent was started again. */
async function watching() {
  const address = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(2, 255)}`;
  const own = { name: "db1", role: "database", address, id: newHostId() } as const;
  const { layout, files, identity } = await withCertificate(own);
  const document = documentOf({ ...own, certificates: [noteOf(identity.certificate)] });
  const record = recordOf(own, { store: [address] });
  const store = new StoreOfTest();
  const server = await serveTls({
    host: address,
    port: CLIENT_PORT,
    identity,
    answer: async ({ path, body }) => await Promise.resolve({ status: 200, body: store.answer(path, body) }),
  });
  atEnd(server.close);
  const told: string[] = [];
  const log: Log = (_level, text) => void told.push(text);
  const host = {
    layout,
    owner: undefined,
    machine: readMachine(),
    log,
    files,
    identity,
    installation: undefined,
    etcd: new Etcd([address], identity),
    fileConfig: () => undefined,
  };
  const started = async (known: ClusterDocument): Promise<StoreWatch> =>
    new StoreWatch(host, undefined, {
      record,
      document: known,
      register: await OwnRegister.open(files, log),
    });
  store.keys.set("/odoo-pg/odoo/initialize", { value: "1" });
  return { store, document, files, told, started };
}

test("a look asks the store once, for all of it at one moment; how long the key lasts is asked when the right nears its end", async () => {
  const { store, document, started } = await watching();
  const watch = await started(document);
  store.keys.set("/odoo-pg/odoo/leader", { value: "db1", lease: "11" });
  store.keys.set(DOCUMENT, { value: JSON.stringify(document) });
  store.keys.set("/odoo-pg-hosts/odoo/pool", { value: "db1", lease: "12" });
  await watch.read();
  expect(store.asked()).toEqual(["/v3/kv/txn", "/v3/lease/timetolive"]);
  expect(watch.view).toMatchObject({ founded: true, leader: "db1" });
  expect(watch.poolOf).toBe("db1");
  expect(watch.rightful).toBe("db1");
  const read = watch.document;
  expect(read).toEqual(document);

  // Patroni renews it each second: what was heard is good for a while. What did not change is the same object.
  await watch.read();
  expect(store.asked()).toEqual(["/v3/kv/txn"]);
  expect(watch.document).toBe(read);

  // Another key, be it of the same host, says nothing of how long it lasts.
  store.secondsLeft = 9;
  store.keys.set("/odoo-pg/odoo/leader", { value: "db2", lease: "13" });
  await watch.read();
  expect(store.asked()).toEqual(["/v3/kv/txn", "/v3/lease/timetolive"]);
  expect(watch.rightful).toBe("db2");
  // One that nobody renews is asked about at each look.
  await watch.read();
  expect(store.asked()).toEqual(["/v3/kv/txn", "/v3/lease/timetolive"]);
  expect(watch.rightLasts).toBeLessThan(9000);

  store.keys.set(DOCUMENT, { value: JSON.stringify({ ...document, port: 5439 }) });
  await watch.read();
  expect(watch.document.port).toBe(5439);
  // Another cluster's, or nonsense, is told at each look, and changes nothing.
  store.keys.set(DOCUMENT, {
    value: JSON.stringify({ ...document, cluster: "other" }),
  });
  await expect(watch.read()).rejects.toThrow("another cluster's");
  await expect(watch.read()).rejects.toThrow("another cluster's");
  expect(watch.document.port).toBe(5439);
});

test("a document that nobody changes is held anew against what is known here after 20 s: certificates end", async () => {
  const { store, document, started } = await watching();
  const [clock, sinceStart] = [Date.now(), performance.now.bind(performance)];
  let later = 0;
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.spyOn(performance, "now").mockImplementation(() => sinceStart() + later);
  atEnd(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });
  const revoked = [{ serial: "b1", until: clock + 600_000, from: 0, address: "10.0.0.2" }];
  const watch = await started({ ...document, revoked });
  store.keys.set(DOCUMENT, { value: JSON.stringify({ ...document, revoked }) });
  const serials = async (): Promise<string[]> => {
    await watch.read();
    return watch.document.revoked.map(({ serial }) => serial);
  };
  expect(await serials()).toEqual(["b1"]);
  vi.setSystemTime(clock + 700_000);
  expect(await serials(), "just read").toEqual(["b1"]);
  later = 21_000;
  expect(await serials()).toEqual([]);
});

describe("a host that was removed", () => {
  const YEAR = 365 * 24 * 3_600_000;
  const db2: Host = { name: "db2", role: "database", address: "10.0.0.2", id: newHostId() };
  const certificates = [{ serial: "b1", until: Date.now() + YEAR / 2 }];
  const serials = ({ revoked }: ClusterDocument): string[] => revoked.map(({ serial }) => serial).sort();
  const storedIn = (store: StoreOfTest): ClusterDocument =>
    documentSchema.parse(JSON.parse(store.keys.get(DOCUMENT)?.value ?? ""));

  test("stays revoked here by this host's own word, and where this host leads, in the document too", async () => {
    const { store, document, started, told } = await watching();
    const whole = { ...document, hosts: [...document.hosts, { ...db2, certificates }] };
    const put = (written: object): void => void store.keys.set(DOCUMENT, { value: JSON.stringify(written) });
    put(whole);
    let watch = await started(whole);
    await watch.read();
    await watch.revoke("db2", Date.now());
    expect(serials(watch.document)).toEqual(["b1"]);
    // Who is listed is the document's to say.
    expect(watch.document.hosts).toHaveLength(2);
    // The removed host, an earlier odoo-pg that knows of no such list, and somebody who moves it to a day that never comes.
    const { revoked: _revoked, ...without } = document;
    const never = { serial: "b1", until: 1, from: 253_402_300_799_000, address: "10.0.0.2" };
    for (const hostile of [whole, without, { ...document, revoked: [never] }]) {
      put(hostile);
      await watch.read();
      expect(revokedNow(watch.document, Date.now()).map(({ serial }) => serial)).toEqual(["b1"]);
      watch = await started(document);
      expect(serials(watch.document)).toEqual(["b1"]);
    }
    expect(serials(storedIn(store))).toEqual(["b1"]);
    put(document);
    await watch.read();
    expect(serials(storedIn(store)), "another host leads").toEqual([]);
    store.keys.set("/odoo-pg/odoo/leader", { value: "db1", lease: "11" });
    await watch.read();
    expect(serials(storedIn(store))).toEqual(["b1"]);
    expect(storedIn(store).hosts).toEqual(document.hosts);
    expect(told).toEqual([]);
    // And it stays at that.
    await watch.read();
    const { value } = store.keys.get(DOCUMENT) ?? {};
    await watch.read();
    expect(store.keys.get(DOCUMENT)?.value).toBe(value);
  });

  test("does not have the others revoked by a write: they go on, take it out again, and say so once", async () => {
    const { store, document, started, told } = await watching();
    const whole = { ...document, hosts: [...document.hosts, { ...db2, certificates }] };
    store.keys.set("/odoo-pg/odoo/leader", { value: "db1", lease: "11" });
    store.keys.set(DOCUMENT, { value: JSON.stringify(whole) });
    const watch = await started(whole);
    await watch.read();
    const everybody = whole.hosts.flatMap(({ certificates: all = [], address }) =>
      all.map((one) => ({ ...one, from: 0, address })),
    );
    expect(everybody).toHaveLength(2);
    store.keys.set(DOCUMENT, { value: JSON.stringify({ ...whole, revoked: everybody }) });
    await watch.read();
    expect(watch.document.revoked).toEqual([]);
    await watch.read();
    expect(storedIn(store)).toEqual(whole);
    expect(told.filter((text) => text.includes("somebody has written into the store"))).toHaveLength(1);
  });

  test("stays so where the file that says it was damaged: it is put aside, told, and begun anew from the document", async () => {
    const { document, files, started, told } = await watching();
    const kept = {
      ...document,
      revoked: [{ serial: "b1", until: Date.now() + YEAR, from: 0, address: "10.0.0.2" }],
    };
    for (const file of [files.revoked, files.certificates]) await writeFileAtomic(file, '[{"serial":');
    const watch = await started(kept);
    await watch.keep();
    expect(serials(watch.document)).toEqual(["b1"]);
    expect(told).toHaveLength(2);
    for (const file of [files.revoked, files.certificates])
      expect(told.join("\n")).toContain(`${file} was damaged (it is not a complete JSON document)`);
    expect(readdirSync(files.dir).filter((name) => name.includes(".damaged-"))).toHaveLength(2);
    // The next start believes what was kept, be the document without it.
    expect(serials((await started(document)).document)).toEqual(["b1"]);
  });
});
