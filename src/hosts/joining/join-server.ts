import type { X509Certificate } from "node:crypto";
import * as z from "zod";
import { CLIENT_PORT, type Etcd } from "../../consensus/etcd.ts";
import { ensurePasswords } from "../../store/secrets.ts";
import { authorityPath, type Layout } from "../../config/layout.ts";
import path from "node:path";
import { now } from "../../system/clock.ts";
import { readTextIfAny, writeFileAtomic, type Owner } from "../../system/files/files.ts";
import { inspectJsonFile, parseJson } from "../../system/files/json-file.ts";
import { Mutex } from "../../system/mutex.ts";
import { reaches } from "../../system/network/network.ts";
import type { TlsQuestion } from "../../system/network/mutual-tls.ts";
import { OdooPgError, toOdooPgError } from "../../errors.ts";
import { printNext } from "../../next-step.ts";
import { hostOrderSchema, type HostOrder } from "../documents/orders.ts";
import { CERTIFICATE_LIFE, noteOf, pinOf, signRequest } from "./authority.ts";
import { hostFiles } from "../documents/files.ts";
import {
  joinRefusal,
  joinRequestSchema,
  withHost,
  type Greeting,
  type JoinGrant,
  type JoinRequest,
} from "./joining.ts";
import { isToBeRenewed } from "../decisions/certificates/certificate.ts";
import { withCertificate, withRevoked } from "../decisions/certificates/revocation.ts";
import { hasManyOfLate, type SeenCertificates } from "../decisions/certificates/seen.ts";
import { changeDocument } from "../documents/change.ts";
import { forGuests } from "../documents/host-config.ts";
import {
  newHostId,
  plainSerial,
  type ClusterDocument,
  type Host,
  type HostRecord,
} from "../documents/record.ts";
import type { HostReport } from "../documents/report.ts";
import type { Listed } from "../documents/removal.ts";
import { AGENT_PORT, API_PORT, PEER_PORT } from "../documents/places.ts";
import { newToken, showInvitation, takeToken } from "./tokens.ts";

const keptTokens = z
  .object({ hash: z.string(), until: z.number(), endpoints_only: z.boolean().default(false) })
  .array();

const renewalSchema = z.object({ request: z.string() });

/** Milliseconds by which the clock of a host that renews its certificate may be ahead. */
const CLOCKS_DIFFER = 24 * 3_600_000;

/** Milliseconds for one port of a new host to answer. */
const PORT_TIMEOUT = 1500;

/** Wrong tokens that are answered per minute; with 128 bits guessing is hopeless anyway. */
const MOST_WRONG = 20;

/** This host's own knowledge of certificates, apart from the store's. */
export interface CertificatesKnown {
  /** All certificates that hosts were seen with. */
  readonly seen: SeenCertificates;
  /** Records one that was signed here. */
  readonly signed: (host: Host, certificate: string) => Promise<void>;
  /** Revokes a host's certificates on this host, before any other one does. @param from milliseconds since the epoch @param by the host on which it was ordered */
  readonly revoke: (name: string, from: number, by: string) => Promise<void>;
  /** The document as a new host is given it. */
  readonly told: (document: ClusterDocument) => ClusterDocument;
}

export interface JoinServerParts {
  readonly layout: Layout;
  readonly owner: Owner | undefined;
  readonly record: HostRecord;
  readonly etcd: Etcd;
  readonly report: () => Promise<HostReport>;
  readonly order: (order: HostOrder) => Promise<{ readonly done: string; readonly changed: boolean }>;
  /** The view for a host with endpoints alone, which sends its own report. */
  readonly view: (guest: string, report: string) => Promise<object>;
  readonly storeAnswers: () => boolean;
  /**
   * Whether the store has just confirmed that this host belongs to the cluster: only then can it tell others who does
   * not.
   */
  readonly isSure: () => boolean;
  readonly document: () => ClusterDocument;
  readonly certificates: CertificatesKnown;
}

/** The answers of a host's agent to agents of other hosts, and to hosts that want to join. */
export class JoinServer {
  readonly #parts: JoinServerParts;
  #wrong: number[] = [];
  /** One at a time: of two hosts with the same token the second finds it used. */
  readonly #turns = new Mutex();

  constructor(parts: JoinServerParts) {
    this.#parts = parts;
  }

  /** A new token, as `join` takes it: valid for an hour and for one host. */
  async invite(endpointsOnly: boolean): Promise<string> {
    return await this.#turns.run(async () => await this.#invite(endpointsOnly));
  }

  async #invite(endpointsOnly: boolean): Promise<string> {
    const { layout, record } = this.#parts;
    if (record.role !== "database") {
      throw new OdooPgError("refused", {
        message: `${record.name} has no database, and with it no right to let hosts in.`,
        safe: "Nothing was changed.",
        next: "Run the same command on a host with a database.",
      });
    }
    const files = hostFiles(layout);
    const authority = (await readTextIfAny(files.authority)) ?? "";
    const { secret, kept } = newToken(now(), endpointsOnly);
    const others = (await this.#tokens()).filter(({ until }) => until > now());
    await writeFileAtomic(files.tokens, JSON.stringify([...others, kept]));
    return showInvitation({ host: record.address, port: AGENT_PORT, secret, pin: pinOf(authority) });
  }

  async answer({
    method,
    path: target,
    body,
    peer,
    guest,
    certificate,
  }: TlsQuestion): Promise<{ status: number; body: unknown }> {
    if (method === "GET" && target === "/authority") {
      return { status: 200, body: await this.#greeting() };
    }
    if (method === "POST" && target === "/join") return await this.#join(body);
    if (method === "POST" && target === "/view" && guest !== undefined)
      return { status: 200, body: await this.#parts.view(guest, body) };
    if (method === "POST" && target === "/renew") return await this.#renew(body, peer ?? guest, certificate);
    // A removed host is answered too: the store does not tell it that it was removed.
    if (method === "GET" && target === "/listed" && certificate !== undefined)
      return { status: 200, body: this.#listed(peer ?? guest, certificate) };
    // All other paths are for hosts of the cluster alone.
    if (peer === undefined) return { status: 403, body: { error: "not a host of this cluster" } };
    if (method === "GET" && target === "/report") return { status: 200, body: await this.#parts.report() };
    if (method === "POST" && target === "/order") return { status: 200, body: await this.#order(body) };
    return { status: 404, body: { error: "no such question" } };
  }

  /** Whether it is a host of the cluster; and of one that is none, who revoked its certificate, and when. */
  #listed(asker: string | undefined, { serialNumber }: X509Certificate): Listed {
    const serial = plainSerial(serialNumber);
    const { revoked } = this.#parts.document();
    const removal = revoked.find((one) => one.serial === serial);
    return {
      listed: asker !== undefined,
      sure: this.#parts.isSure(),
      ...(removal ? { removal: { at: removal.from, by: removal.by ?? null } } : {}),
    };
  }

  /**
   * Renews the certificate of a host, of the same kind and for the same address as the one that it shows. The document does
   * not decide that: the servers' user of any host can write into it.
   */
  async #renew(
    body: string,
    asker: string | undefined,
    shown: X509Certificate | undefined,
  ): Promise<{ status: number; body: unknown }> {
    const host = this.#parts.document().hosts.find(({ name }) => name === asker);
    const parsed = parseJson(body, renewalSchema);
    if (!host || !parsed.ok) return { status: 403, body: { error: "not a host of this cluster" } };
    if (shown?.checkIP(host.address) === undefined)
      return { status: 403, body: { error: `its certificate is not for ${host.address}` } };
    // Each signed certificate has to be remembered until it expires, so their number is bounded.
    if (!isToBeRenewed(Date.parse(shown.validTo) - CLOCKS_DIFFER, now()))
      return { status: 409, body: { error: "its certificate is good for long still" } };
    const { layout, etcd, certificates } = this.#parts;
    if (hasManyOfLate(certificates.seen, host.name, now(), CERTIFICATE_LIFE))
      return { status: 429, body: { error: "it was given many certificates of late" } };
    const certificate = await signRequest(hostFiles(layout), parsed.value.request, host);
    // Recorded first: a certificate that nobody knows could not be revoked.
    await changeDocument(etcd, this.#parts.document().cluster, (document) =>
      withCertificate(document, host.name, noteOf(certificate)),
    );
    await certificates.signed(host, certificate);
    return { status: 200, body: { certificate } };
  }

  async #order(body: string): Promise<object> {
    const order = parseJson(body, hostOrderSchema);
    try {
      if (!order.ok)
        throw new OdooPgError("usage", { message: `The order cannot be read: ${order.problem}.` });
      return await this.#parts.order(order.value);
    } catch (error) {
      return { error: toOdooPgError(error).toJSON() };
    }
  }

  async #greeting(): Promise<Greeting> {
    const { layout, document } = this.#parts;
    const { cluster, major, port } = document();
    const authority = (await readTextIfAny(hostFiles(layout).authority)) ?? "";
    return { authority, cluster, major, port };
  }

  async #join(body: string): Promise<{ status: number; body: unknown }> {
    const parsed = parseJson(body, joinRequestSchema);
    if (!parsed.ok) return refuse(`the request cannot be read: ${parsed.problem}`);
    const request = parsed.value;
    this.#wrong = this.#wrong.filter((at) => now() - at < 60_000);
    if (this.#wrong.length >= MOST_WRONG) return refuse("too many wrong tokens: try again in a minute");
    return await this.#turns.run(async () => await this.#admit(request));
  }

  async #admit(request: JoinRequest): Promise<{ status: number; body: unknown }> {
    const found = takeToken(await this.#tokens(), request.secret, now());
    if (!found) {
      this.#wrong.push(now());
      return refuse(
        "the token was used already, or its hour is over",
        "On a host with a database: odoo-pg ha invite",
      );
    }
    const { token, left } = found;
    if (token.endpoints_only !== (request.role === "endpoints")) {
      return refuse(
        token.endpoints_only
          ? "the token is only for a host with endpoints alone"
          : "the token is for a host with a database or a witness",
        `On a host with a database: odoo-pg ha invite${token.endpoints_only ? "" : " --endpoints-only"}`,
      );
    }
    const document = this.#parts.document();
    const refusal = joinRefusal(request, {
      document,
      now: now(),
      storeAnswers: this.#parts.storeAnswers(),
      unreachable: await this.#unreachable(request, document.port),
    });
    // The token stays valid, as the reason for the refusal can be fixed.
    if (refusal) return { status: 409, body: refusal };
    let grant: JoinGrant;
    try {
      grant = await this.#grant(request, document);
    } catch (error) {
      if (!(error instanceof OdooPgError)) throw error;
      // The token stays valid here, too.
      const next = error.next === undefined ? undefined : printNext(error.next);
      return refuse(error.message.replace(/\.$/, ""), next);
    }
    await writeFileAtomic(hostFiles(this.#parts.layout).tokens, JSON.stringify(left));
    return { status: 200, body: grant };
  }

  async #tokens(): Promise<z.output<typeof keptTokens>> {
    const kept = await inspectJsonFile(hostFiles(this.#parts.layout).tokens, keptTokens);
    return kept?.ok === true ? kept.value : [];
  }

  /** Ports of a new host from which not even a refusal comes: something in between drops the connections. */
  async #unreachable({ address, role }: JoinRequest, port: number): Promise<number[]> {
    if (role === "endpoints") return [];
    const ports = [AGENT_PORT, CLIENT_PORT, PEER_PORT, ...(role === "database" ? [API_PORT, port] : [])];
    const reached = await Promise.all(ports.map(async (at) => await reaches(address, at, PORT_TIMEOUT)));
    return ports.filter((_port, index) => reached[index] !== true);
  }

  async #grant(request: JoinRequest, known: ClusterDocument): Promise<JoinGrant> {
    const { layout, owner, record } = this.#parts;
    const files = hostFiles(layout);
    const { name, role, address } = request;
    const certificate = await signRequest(files, request.request, request);
    const host = { name, role, address, id: newHostId(), certificates: [noteOf(certificate)] };
    const document = this.#parts.certificates.told(await this.#enter(host, known));
    await this.#parts.certificates.signed(host, certificate);
    const passwords = await ensurePasswords(layout, {}, owner);
    const read = async (file: string): Promise<string> => (await readTextIfAny(file)) ?? "";
    return {
      document: request.role === "endpoints" ? forGuests(document) : document,
      certificate,
      authority: await read(files.authority),
      store: [...new Set([...record.store, record.address])],
      collectd: passwords.collectd,
      odoo: request.role === "endpoints" ? passwords.odoo : null,
      database:
        request.role === "database"
          ? {
              authority_key: await read(files.authorityKey),
              endpoints_authority: await read(files.endpointsAuthority),
              endpoints_authority_key: await read(files.endpointsAuthorityKey),
              postgres_authority: await read(authorityPath(layout)),
              postgres_authority_key: await read(path.join(layout.tlsDir, "ca.key")),
              passwords: {
                postgres: passwords.postgres,
                replicator: passwords.replicator,
                odoo: passwords.odoo,
                collectd: passwords.collectd,
                ...(passwords.openerp === undefined ? {} : { openerp: passwords.openerp }),
              },
            }
          : null,
    };
  }

  /** Puts a host into the cluster's document. Two that join at once do not lose each other. */
  async #enter(host: ClusterDocument["hosts"][number], known: ClusterDocument): Promise<ClusterDocument> {
    const { etcd, certificates } = this.#parts;
    const from = now();
    const by = this.#parts.record.name;
    // Certificates of a former host of this name are revoked.
    if (known.hosts.some(({ name }) => name === host.name)) await certificates.revoke(host.name, from, by);
    const { seen } = certificates;
    return await changeDocument(etcd, known.cluster, (document) =>
      withHost(withRevoked(document, { name: host.name, from, by, seen }, from), host),
    );
  }
}

function refuse(refused: string, next?: string): { status: number; body: unknown } {
  return { status: 409, body: { refused, ...(next === undefined ? {} : { next }) } };
}
