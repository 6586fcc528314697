import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { debian13Programs } from "../../scripts/setup/debian-13.mjs";
import { layoutOf } from "../../src/config/layout.ts";
import { Etcd } from "../../src/consensus/etcd.ts";
import { hostFiles, type HostFiles } from "../../src/hosts/documents/files.ts";
import { peerUrlOf } from "../../src/hosts/documents/places.ts";
import type { HostRecord } from "../../src/hosts/documents/record.ts";
import {
  ensureHostAuthorities,
  newRequest,
  noteOf,
  readIdentity,
  signRequest,
  writeRevocations,
} from "../../src/hosts/joining/authority.ts";
import { EtcdService } from "../../src/hosts/programs/etcd-service.ts";
import { renderRevocationCheck } from "../../src/hosts/render/revocation-check.ts";
import { ensureDirectory, writeFileAtomic } from "../../src/system/files/files.ts";
import { askTls, type TlsIdentity } from "../../src/system/network/mutual-tls.ts";
import { freePort } from "../support/ports.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

const programs = existsSync(debian13Programs);
if (!programs)
  console.warn("Patroni and etcd are missing, so they are not tried: node scripts/setup.mjs --hosts");

/** An address of this machine's own that no other test has: etcd's ports are fixed. */
const ADDRESS = `127.${64 + (process.pid % 64)}.${(process.pid >> 6) % 250}.1`;

const record: HostRecord = {
  format: 1,
  cluster: "odoo",
  name: "db1",
  role: "database",
  address: ADDRESS,
  node: "db1",
  store: [ADDRESS],
};

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

describe.skipIf(!programs)("a host whose certificate was revoked", () => {
  let files: HostFiles;
  let own: TlsIdentity;
  let removed: TlsIdentity;

  const identityOf = async (name: string, address: string): Promise<TlsIdentity> => {
    const at = { ...files, key: `${files.key}.${name}` };
    const request = await newRequest(at, name, undefined);
    const certificate = await signRequest(files, request, { name, address, role: "database" });
    const authority = readFileSync(files.authority, "utf8");
    return { certificate, key: readFileSync(at.key, "utf8"), authority };
  };

  beforeAll(async () => {
    files = hostFiles(layoutOf(`${temporaryFolder()}/s`));
    await ensureDirectory(files.dir, { mode: 0o755 });
    await ensureHostAuthorities(files, "odoo");
    removed = await identityOf("db2", "10.0.0.2");
    const request = await newRequest(files, "db1", undefined);
    await writeFileAtomic(files.certificate, await signRequest(files, request, record));
    const found = await readIdentity(files);
    if (!found) throw new Error("no identity");
    own = found;
    await writeRevocations(files, []);
  });

  test("neither reads nor writes etcd with it, also by the connection that it had before", async () => {
    const service = new EtcdService({
      files,
      record,
      program: { path: join(debian13Programs, "etcd"), version: "3.5.16" },
      identity: own,
      owner: undefined,
    });
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
