import { randomInt } from "node:crypto";
import * as z from "zod";
import { expect, test } from "vitest";
import { layoutOf } from "../../src/config/layout.ts";
import { resolvedConfigSchema } from "../../src/config/schema.ts";
import { CLIENT_PORT, Etcd } from "../../src/consensus/etcd.ts";
import { StoreWatch } from "../../src/hosts/agent/store-watch.ts";
import { hostFiles } from "../../src/hosts/documents/files.ts";
import { newHostId, type ClusterDocument, type HostRecord } from "../../src/hosts/documents/record.ts";
import {
  ensureHostAuthorities,
  newRequest,
  noteOf,
  readIdentity,
  signRequest,
} from "../../src/hosts/joining/authority.ts";
import { ensureDirectory, writeFileAtomic } from "../../src/system/files/files.ts";
import { readMachine } from "../../src/system/machine.ts";
import { serveTls } from "../../src/system/network/mutual-tls.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const base64 = (text: string): string => Buffer.from(text, "utf8").toString("base64");
const fromBase64 = (text: string): string => Buffer.from(text, "base64").toString("utf8");

const rangeSchema = z.object({ request_range: z.object({ key: z.string(), range_end: z.string() }) });
const transactionSchema = z.object({ success: rangeSchema.array() });

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
    const responses = success.map(({ request_range: { key, range_end: end } }) => {
      const kvs = [...this.keys]
        .filter(([name]) => name >= fromBase64(key) && name < fromBase64(end))
        .map(([name, { value, lease }]) => ({ key: base64(name), value: base64(value), lease }));
      // What is empty is left out.
      return { response_range: { header: { revision: "7" }, ...(kvs.length ? { kvs } : {}) } };
    });
    return { header: { revision: "7" }, succeeded: true, responses };
  }
}

test("a look asks the store once, for all of it at one moment; how long the key lasts is asked when the right nears its end", async () => {
  const address = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(2, 255)}`;
  const layout = layoutOf(`${temporaryFolder()}/state`);
  const files = hostFiles(layout);
  await ensureDirectory(files.dir, { mode: 0o755 });
  await ensureHostAuthorities(files, "odoo");
  const own = { name: "db1", role: "database", address, id: newHostId() } as const;
  await writeFileAtomic(
    files.certificate,
    await signRequest(files, await newRequest(files, "db1", undefined), own),
  );
  const identity = await readIdentity(files);
  if (!identity) throw new Error("no identity");
  const document: ClusterDocument = {
    format: 1,
    cluster: "odoo",
    system_identifier: "1",
    major: 17,
    config: resolvedConfigSchema.parse({ state_dir: "/s", listen: ["127.0.0.1"] }),
    settings: {},
    shared: {},
    restart: [],
    revoked: [],
    port: 5433,
    hosts: [{ ...own, certificates: [noteOf(identity.certificate)] }],
  };
  const record: HostRecord = {
    format: 1,
    cluster: "odoo",
    ...own,
    node: "db1",
    store: [address],
    user: null,
    data_dir: null,
  };
  const store = new StoreOfTest();
  const server = await serveTls({
    host: address,
    port: CLIENT_PORT,
    identity,
    answer: async ({ path, body }) => await Promise.resolve({ status: 200, body: store.answer(path, body) }),
  });
  atEnd(server.close);
  const watch = new StoreWatch(
    {
      layout,
      owner: undefined,
      machine: readMachine(),
      log: () => {},
      files,
      identity,
      installation: undefined,
      etcd: new Etcd([address], identity),
      fileConfig: () => undefined,
    },
    undefined,
    { record, document },
  );

  store.keys.set("/odoo-pg/odoo/initialize", { value: "1" });
  store.keys.set("/odoo-pg/odoo/leader", { value: "db1", lease: "11" });
  store.keys.set("/odoo-pg-hosts/odoo/document", { value: JSON.stringify(document) });
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

  store.keys.set("/odoo-pg-hosts/odoo/document", { value: JSON.stringify({ ...document, port: 5439 }) });
  await watch.read();
  expect(watch.document.port).toBe(5439);
  // Another cluster's, or nonsense, is told at each look, and changes nothing.
  store.keys.set("/odoo-pg-hosts/odoo/document", {
    value: JSON.stringify({ ...document, cluster: "other" }),
  });
  await expect(watch.read()).rejects.toThrow("another cluster's");
  await expect(watch.read()).rejects.toThrow("another cluster's");
  expect(watch.document.port).toBe(5439);
});
