import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { debian13Programs } from "../../scripts/setup/debian-13.mjs";
import { Etcd } from "../../src/consensus/etcd.ts";
import type { HostFiles } from "../../src/hosts/documents/files.ts";
import { hostsPrefix, patroniPrefix, peerUrlOf } from "../../src/hosts/documents/places.ts";
import {
  documentSchema,
  newHostId,
  type ClusterDocument,
  type Host,
  type HostRecord,
} from "../../src/hosts/documents/record.ts";
import type { OneHost } from "../../src/hosts/agent/host.ts";
import { StoreWatch } from "../../src/hosts/agent/store-watch.ts";
import { revokedNow, withRevoked } from "../../src/hosts/decisions/certificates/revocation.ts";
import { changeDocument } from "../../src/hosts/documents/change.ts";
import { withoutHost } from "../../src/hosts/joining/joining.ts";
import { OwnRegister } from "../../src/hosts/revoking/own-register.ts";
import { newRequest, noteOf, signRequest, writeRevocations } from "../../src/hosts/joining/authority.ts";
import { EtcdService } from "../../src/hosts/programs/etcd-service.ts";
import { renderRevocationCheck } from "../../src/hosts/render/revocation-check.ts";
import { writeFileAtomic } from "../../src/system/files/files.ts";
import type { Log } from "../../src/system/log.ts";
import { readMachine } from "../../src/system/machine.ts";
import { askTls, type TlsIdentity } from "../../src/system/network/mutual-tls.ts";
import { freePort } from "../support/ports.ts";
import { withCertificate } from "./authority.ts";
import { documentOf, recordOf } from "./standins.ts";
import { atEnd } from "../support/scope.ts";
import { waitFor } from "../support/wait.ts";

const programs = existsSync(debian13Programs);
if (!programs)
  console.warn("Patroni and etcd are missing, so they are not tried: node scripts/setup.mjs --hosts");

/** An address of this machine's own that no other test has: etcd's ports are fixed. */
const ADDRESS = `127.${64 + (process.pid % 64)}.${(process.pid >> 6) % 250}.1`;

const record = recordOf({ name: "db1", role: "database", address: ADDRESS }, { store: [ADDRESS] });

/** The API of Patroni by its own class, with nothing behind it. */
const API = `
import sys, types
from patroni.api import RestApiServer
from patroni import global_config
port, cert, key, ca = sys.argv[1:]
server = RestApiServer(types.SimpleNamespace(), {
    "listen": "127.0.0.1:" + port, "certfile": cert, "keyfile": key, "cafile": ca, "verify_client": "required"})
server.start()
server.join()
`;

/** The authority of hosts, what it signs, and the first of them. */
async function authorityOf(first: HostRecord) {
  const { layout, files, identity: own } = await withCertificate(first);
  const identityOf = async (name: string, address: string): Promise<TlsIdentity> => {
    const at = { ...files, key: `${files.key}.${name}` };
    const request = await newRequest(at, name, undefined);
    const certificate = await signRequest(files, request, { name, address, role: "database" });
    const authority = readFileSync(files.authority, "utf8");
    return { certificate, key: readFileSync(at.key, "utf8"), authority };
  };
  await writeRevocations(files, []);
  return { layout, files, own, identityOf };
}

const etcdOf = (files: HostFiles, of: HostRecord, identity: TlsIdentity): EtcdService =>
  new EtcdService({
    files,
    record: of,
    program: { path: join(debian13Programs, "etcd"), version: "3.5.16" },
    identity,
    owner: undefined,
  });

describe.skipIf(!programs)("a host whose certificate was revoked", () => {
  let files: HostFiles;
  let own: TlsIdentity;
  let removed: TlsIdentity;
  let identityOf: (name: string, address: string) => Promise<TlsIdentity>;

  beforeAll(async () => {
    const made = await authorityOf(record);
    ({ files, own, identityOf } = made);
    removed = await identityOf("db2", "10.0.0.2");
  });

  test("neither reads nor writes etcd with it, also by the connection that it had before", async () => {
    const service = etcdOf(files, record, own);
    await service.become({ state: "new", members: { db1: peerUrlOf(record) } });
    await service.start();
    atEnd(async () => void (await service.stop("fast")));
    const [store, before] = [new Etcd([ADDRESS], own), new Etcd([ADDRESS], removed)];
    await waitFor("etcd to answer", async () => (await service.probe()) === "answers");
    expect(await before.swap("/key", 0n, "by the host before it was removed")).toBe(true);
    expect(await service.revokedSince()).toEqual([]);

    expect(await writeRevocations(files, [noteOf(removed.certificate)])).toBe(true);
    const after = new Etcd([ADDRESS], { ...removed });
    // Whoever connects anew is refused at once, without a restart.
    await expect(after.get("/key")).rejects.toThrow();
    await expect(after.swap("/other", 0n, "x")).rejects.toThrow();
    expect(await before.get("/key"), "the connection from before is open still").toBeDefined();
    const { serial } = noteOf(removed.certificate);
    expect(await service.revokedSince()).toEqual([serial]);
    await service.startAgain();
    await waitFor("etcd to answer", async () => (await service.probe()) === "answers");
    expect(await service.revokedSince()).toEqual([]);
    // What is written anew and says no more is nothing new, whenever that was.
    await writeFileAtomic(files.revocations, readFileSync(files.revocations, "utf8"));
    expect(await service.revokedSince()).toEqual([]);
    await expect(before.get("/key")).rejects.toThrow();
    await expect(before.members()).rejects.toThrow();
    expect((await store.get("/key"))?.value).toBe("by the host before it was removed");
    expect(await store.get("/other")).toBeUndefined();
  });

  test("stays out whatever another writes into the store, and by that nobody else is put out", async () => {
    const first: HostRecord = { ...record, id: newHostId(), address: ADDRESS.replace(/1$/, "2") };
    const made = await authorityOf(first);
    const service = etcdOf(made.files, first, made.own);
    await service.become({ state: "new", members: { db1: peerUrlOf(first) } });
    await service.start();
    atEnd(async () => void (await service.stop("fast")));
    await waitFor("etcd to answer", async () => (await service.probe()) === "answers");

    const [gone, writer] = [
      await made.identityOf("db2", "10.0.0.2"),
      await made.identityOf("db3", "10.0.0.3"),
    ];
    const hostOf = (name: string, address: string, { certificate }: TlsIdentity): Host => ({
      name,
      role: "database",
      address,
      id: newHostId(),
      certificates: [noteOf(certificate)],
    });
    const [db1, db2, db3] = [
      { ...hostOf("db1", first.address, made.own), id: first.id },
      hostOf("db2", "10.0.0.2", gone),
      hostOf("db3", "10.0.0.3", writer),
    ];
    const whole = documentOf(db1, db2, db3);
    const store = (identity: TlsIdentity): Etcd => new Etcd([first.address], { ...identity });
    const DOCUMENT = `${hostsPrefix("odoo")}document`;
    const told: string[] = [];
    const log: Log = (_level, text) => void told.push(text);
    const host: OneHost = {
      layout: made.layout,
      owner: undefined,
      machine: readMachine(),
      log,
      files: made.files,
      identity: made.own,
      installation: undefined,
      etcd: store(made.own),
      fileConfig: () => undefined,
    };
    const register = await OwnRegister.open(made.files, log);
    const watch = new StoreWatch(host, service, { record: first, document: whole, register });
    expect(await host.etcd.swap(DOCUMENT, 0n, JSON.stringify(whole))).toBe(true);
    // It leads, so it keeps the document too.
    expect(await host.etcd.swap(`${patroniPrefix("odoo")}leader`, 0n, "db1")).toBe(true);
    const look = async (): Promise<void> => {
      await watch.read();
      await writeRevocations(made.files, revokedNow(watch.document, Date.now()));
    };
    const isOpenTo = async (identity: TlsIdentity): Promise<boolean> =>
      await store(identity)
        .get(DOCUMENT)
        .then(
          (found) => found !== undefined,
          () => false,
        );
    const stored = async (): Promise<ClusterDocument> =>
      documentSchema.parse(JSON.parse((await host.etcd.get(DOCUMENT))?.value ?? ""));
    const writes = async (document: object): Promise<void> => {
      const before = await store(writer).get(DOCUMENT);
      expect(await store(writer).swap(DOCUMENT, before?.revision ?? 0n, JSON.stringify(document))).toBe(true);
      await look();
    };
    await look();
    expect([await isOpenTo(gone), await isOpenTo(writer)]).toEqual([true, true]);
    // By this host's word alone, before it stands in the document.
    await watch.revoke("db2", Date.now());
    await look();
    expect([await isOpenTo(gone), await isOpenTo(writer)]).toEqual([false, true]);
    await changeDocument(host.etcd, "odoo", (document) =>
      withoutHost(
        withRevoked(document, { name: "db2", from: Date.now(), seen: watch.seen }, Date.now()),
        "db2",
      ),
    );
    await look();

    const entry = (serial: string) => ({ serial, until: 253_402_300_799_000, from: 0, address: "10.0.0.9" });
    const madeUp = Array.from({ length: 3000 }, (_, index) => entry((index + 0xa000).toString(16)));
    const serialOf = ({ certificate }: TlsIdentity): string => noteOf(certificate).serial;
    const everybody = [made.own, gone, writer].map((identity) => entry(serialOf(identity)));
    const hostile = {
      "as it was before": whole,
      "without the host, and without the list": { ...whole, hosts: [db1, db3], revoked: [] },
      "with one number in several ways": { ...whole, revoked: [entry("a1"), entry("0a1"), entry("000a1")] },
      "with more numbers than a list may have": { ...whole, revoked: madeUp },
      "with everybody": { ...whole, hosts: [db1, db3], revoked: everybody },
    };
    for (const [what, document] of Object.entries(hostile)) {
      await writes(document);
      expect([await isOpenTo(gone), await isOpenTo(writer), await isOpenTo(made.own)], what).toEqual([
        false,
        true,
        true,
      ]);
      const { revoked } = await stored();
      expect(
        revoked.map(({ serial }) => serial),
        what,
      ).toContain(serialOf(gone));
      expect(revoked.length, what).toBeLessThanOrEqual(1000);
      expect(
        revoked.map(({ serial }) => serial),
        what,
      ).not.toContain(serialOf(writer));
    }
    expect(told.join("\n")).toContain("they stay good here");
    // Who was connected before has to show its certificate once more.
    expect(await service.revokedSince()).toContain(serialOf(gone));
  });

  test("says nothing to the API of Patroni, and is told nothing", async () => {
    await writeRevocations(files, [noteOf(removed.certificate)]);
    mkdirSync(files.patroniPython, { recursive: true });
    writeFileSync(join(files.patroniPython, "sitecustomize.py"), renderRevocationCheck(files));
    const names = await identityOf("db3", "127.0.0.1");
    // It is asked at this address, where no etcd is in the way.
    await writeFileAtomic(files.certificate, names.certificate);
    await writeFileAtomic(files.key, names.key);
    const port = await freePort();
    const tree = join(debian13Programs, "../usr/lib/python3/dist-packages");
    const paths = [String(port), files.certificate, files.key, files.patroniAuthority];
    const api = spawn("/usr/bin/python3", ["-c", API, ...paths], {
      env: { PYTHONPATH: `${files.patroniPython}:${tree}`, PATH: "/usr/bin:/bin" },
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    api.stderr.on("data", (chunk: Buffer) => (said += chunk.toString("utf8")));
    const ended = new Promise((resolve) => api.once("exit", resolve));
    atEnd(async () => {
      api.kill("SIGKILL");
      await ended;
    });
    const ask = async (trust: TlsIdentity) =>
      await askTls({
        host: "127.0.0.1",
        port,
        method: "POST",
        path: "/no-such-order",
        trust: { ...trust },
        timeout: 5000,
      });
    await waitFor("the API to answer", async () => (await ask(own)).status === 501, { timeout: 30_000 });
    await expect(ask(removed)).rejects.toThrow();
    expect((await ask(own)).status).toBe(501);
    // One that hangs is asked where it does, and goes on.
    api.kill("SIGUSR2");
    await waitFor("each thread's place", () => /^Current thread [^]*^ {2}File "/m.test(said));
    expect((await ask(own)).status).toBe(501);
  });
});
