import { X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import { resolvedConfigSchema } from "../../src/config/schema.ts";
import { Etcd } from "../../src/consensus/etcd.ts";
import { askerOf } from "../../src/hosts/decisions/certificates/asker.ts";
import { documentSchema, type ClusterDocument, type Host } from "../../src/hosts/documents/record.ts";
import { sign } from "../../src/postgres/authority.ts";
import type { SeenCertificates } from "../../src/hosts/decisions/certificates/seen.ts";
import { newRequest, noteOf, signRequest } from "../../src/hosts/joining/authority.ts";
import { JoinServer } from "../../src/hosts/joining/join-server.ts";
import { readTextIfAny } from "../../src/system/files/files.ts";
import { askTls, serveTls } from "../../src/system/network/mutual-tls.ts";
import { freePort } from "../support/ports.ts";
import { atEnd } from "../support/scope.ts";
import { withAuthority } from "./authority.ts";

/** What each host joined with, and what the document says of it now. */
const db1: Host = { name: "db1", role: "database", address: "127.0.0.1", id: "a".repeat(16) };
const witness: Host = { name: "w", role: "witness", address: "10.0.0.3", id: "b".repeat(16) };
const app: Host = { name: "app", role: "endpoints", address: "10.0.0.4", id: "c".repeat(16) };

/** The store, as far as one document goes. */
class OneDocument extends Etcd {
  value: string;

  constructor(document: ClusterDocument) {
    super([], { certificate: "", key: "", authority: "" });
    this.value = JSON.stringify(document);
  }

  override async get() {
    return await Promise.resolve({ value: this.value, revision: 1n, lease: undefined });
  }

  override async swap(_key: string, _revision: bigint, value: string) {
    this.value = value;
    return await Promise.resolve(true);
  }
}

/** Days for which the certificate that a host shows is good still. */
const SOON = 100;

interface Renewal {
  readonly host: Host;
  /** Where the cluster's document says that it is. */
  readonly address: string;
  readonly days?: number;
  /** What db1 knows of certificates. */
  readonly before?: SeenCertificates;
}

/** Has a host ask db1 for another certificate. */
async function renewed({ host, address, days = SOON, before = {} }: Renewal) {
  const { layout, files } = await withAuthority();
  const pem = async (file: string): Promise<string> => (await readTextIfAny(file)) ?? "";
  const authority = await pem(files.authority);
  const request = await newRequest(files, host.name, undefined);
  const key = await pem(files.key);
  const signer =
    host.role === "endpoints"
      ? { certificate: files.endpointsAuthority, key: files.endpointsAuthorityKey }
      : { certificate: files.authority, key: files.authorityKey };
  const own = ["extendedKeyUsage=serverAuth,clientAuth", `subjectAltName=IP:${host.address}`];
  const identity = { certificate: await sign(signer, request, own, days), key, authority, id: host.id };
  const known: [string, string][] = [];
  const document = documentSchema.parse({
    format: 1,
    cluster: "odoo",
    system_identifier: "1",
    major: 17,
    config: resolvedConfigSchema.parse({ state_dir: layout.stateDir, listen: ["127.0.0.1"] }),
    settings: {},
    shared: {},
    port: 5433,
    hosts: [db1, witness, app].map((known) => (known.name === host.name ? { ...known, address } : known)),
  });
  const store = new OneDocument(document);
  const server = new JoinServer({
    layout,
    owner: undefined,
    record: { format: 1, cluster: "odoo", ...db1, node: "db1", store: [] },
    etcd: store,
    report: async () => await Promise.reject(new Error("not asked")),
    order: async () => await Promise.reject(new Error("not asked")),
    view: async () => await Promise.reject(new Error("not asked")),
    storeAnswers: () => true,
    isSure: () => true,
    document: () => document,
    certificates: {
      seen: before,
      signed: async (name, signed) => await Promise.resolve(void known.push([name.name, signed])),
      revoke: async () => await Promise.reject(new Error("not asked")),
      told: (told) => told,
    },
  });
  const port = await freePort();
  const ofDb1 = await newRequest({ ...files, key: `${files.key}.db1` }, "db1", undefined);
  const door = await serveTls({
    host: "127.0.0.1",
    port,
    identity: {
      certificate: await signRequest(files, ofDb1, db1),
      key: await pem(`${files.key}.db1`),
      authority,
    },
    guests: await pem(files.endpointsAuthority),
    answer: async (question) =>
      await server.answer({ ...question, ...askerOf(document, question, Date.now()) }),
  });
  atEnd(door.close);
  const answer = await askTls({
    host: "127.0.0.1",
    port,
    method: "POST",
    path: "/renew",
    body: { request },
    trust: identity,
    timeout: 10_000,
  });
  return { ...answer, known, stored: documentSchema.parse(JSON.parse(store.value)) };
}

test.each([witness, app])(
  "a $role gets another certificate for the address that it joined with",
  async (host) => {
    const { status, text, stored, known } = await renewed({ host, address: host.address });
    expect(status).toBe(200);
    const { certificate }: { certificate: string } = JSON.parse(text);
    expect(new X509Certificate(certificate).checkIP(host.address)).toBe(host.address);
    expect(new X509Certificate(certificate).checkIP(db1.address)).toBeUndefined();
    // It is revoked with the host one day.
    const noted = stored.hosts.find(({ name }) => name === host.name)?.certificates;
    expect(noted).toEqual([noteOf(certificate)]);
    // By db1's own word too, whatever becomes of that one.
    expect(known).toEqual([[host.name, certificate]]);
  },
);

test.each([witness, app])(
  "a $role gets none for the address of another host, whatever somebody has written into the store",
  async (host) => {
    const { status, text } = await renewed({ host, address: "10.0.0.2" });
    expect(status).toBe(403);
    expect(text).not.toContain("BEGIN CERTIFICATE");
  },
);

test("a host whose certificate is good for long, or that was given many of late, gets none: each is to be remembered", async () => {
  const long = await renewed({ host: witness, address: witness.address, days: 130 });
  expect(long).toMatchObject({ status: 409, known: [] });
  const many = (days: number): SeenCertificates =>
    Object.fromEntries(
      Array.from({ length: 10 }, (_, index) => [
        `a${index}`,
        { host: "w", until: Date.now() + days * 24 * 3_600_000, shown: true },
      ]),
    );
  const late = await renewed({ host: witness, address: witness.address, before: many(360) });
  expect(late).toMatchObject({ status: 429, known: [] });
  expect(late.text).not.toContain("BEGIN CERTIFICATE");
  const early = await renewed({ host: witness, address: witness.address, before: many(330) });
  expect(early.status).toBe(200);
});
