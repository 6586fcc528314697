import { X509Certificate } from "node:crypto";
import http from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import { TLSSocket, type SecureContextOptions } from "node:tls";
import { messageOf } from "../../errors.ts";
import { Crowd, Known } from "./crowd.ts";

/** A certificate, its key, and the one authority that is trusted; all PEM. */
export interface TlsIdentity {
  readonly certificate: string;
  readonly key: string;
  readonly authority: string;
  /** Tells this machine from another one with the same name in its certificate; sent with each request. */
  readonly id?: string | undefined;
}

/** The header that carries `id`. */
const ID_HEADER = "odoo-pg-host";

export interface TlsRequest {
  readonly host: string;
  readonly port: number;
  readonly method: "GET" | "POST" | "PATCH";
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /**
   * Which authority to trust, and the certificate to show; with an authority alone none is shown. `anybody`: the other side
   * cannot be verified yet, so nothing secret may be sent.
   */
  readonly trust: TlsIdentity | Pick<TlsIdentity, "authority"> | "anybody";
  /** Milliseconds for the whole answer. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
}

export interface TlsAnswer {
  readonly status: number;
  readonly text: string;
}

/** Characters of an answer that are read. */
const LARGEST = 16 * 1024 * 1024;

/** Agents keep connections open for the next request of an identity, until its certificate changes. */
const agents = new WeakMap<object, { readonly agent: https.Agent; readonly certificate: string }>();

function agentFor(trust: TlsIdentity): https.Agent {
  const known = agents.get(trust);
  const { certificate, key, authority } = trust;
  if (known?.certificate === certificate) return known.agent;
  const agent = new https.Agent({
    keepAlive: true,
    maxSockets: 8,
    cert: certificate,
    key,
    ca: authority,
    minVersion: "TLSv1.2",
  });
  agents.set(trust, { agent, certificate });
  return agent;
}

function optionsFor(trust: TlsRequest["trust"]): https.RequestOptions {
  // Only to be shown the authority's certificate, whose fingerprint the caller then compares with the one it was given.
  if (trust === "anybody") return { agent: false, rejectUnauthorized: false };
  if ("key" in trust) return { agent: agentFor(trust) };
  return { agent: false, ca: trust.authority, minVersion: "TLSv1.2" };
}

async function begin(request: TlsRequest): Promise<http.IncomingMessage> {
  const { host, port, method, path, body, trust, timeout, signal } = request;
  const text = body === undefined ? undefined : JSON.stringify(body);
  const ending = AbortSignal.timeout(timeout);
  return await new Promise((resolve, reject) => {
    const outgoing = https.request({
      host,
      port,
      method,
      path,
      ...optionsFor(trust),
      headers: {
        ...(typeof trust === "object" && "id" in trust && trust.id !== undefined
          ? { [ID_HEADER]: trust.id }
          : {}),
        ...(text === undefined
          ? {}
          : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
      },
      signal: signal ? AbortSignal.any([ending, signal]) : ending,
    });
    outgoing.once("response", resolve);
    outgoing.once("error", reject);
    outgoing.end(text);
  });
}

/** As `askTls`, for an answer that is no text. @param most bytes of it */
export async function askTlsBytes(
  request: TlsRequest,
  most: number,
): Promise<{ readonly status: number; readonly bytes: Buffer }> {
  const response = await begin(request);
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of response) {
    if (!(piece instanceof Buffer)) throw new Error("the answer is not read as it comes");
    pieces.push(piece);
    bytes += piece.length;
    if (bytes > most) throw new Error(`${request.host}:${request.port} answers without an end`);
  }
  return { status: response.statusCode ?? 0, bytes: Buffer.concat(pieces) };
}

/**
 * Sends a request over TLS. @throws Error without a whole answer within the timeout, or where the other side is not
 * trusted
 */
export async function askTls(request: TlsRequest): Promise<TlsAnswer> {
  const response = await begin(request);
  response.setEncoding("utf8");
  let text = "";
  for await (const chunk of response) {
    text += String(chunk);
    if (text.length > LARGEST) throw new Error(`${request.host}:${request.port} answers without an end`);
  }
  return { status: response.statusCode ?? 0, text };
}

/** A request to a server over TLS. */
export interface TlsQuestion {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  /** Address of the other side. */
  readonly remote: string;
  /** The name in the client's certificate, where the cluster's authority signed it. */
  readonly peer: string | undefined;
  /** The name in the client's certificate, where the authority of guests signed it: it has fewer rights. */
  readonly guest: string | undefined;
  /** The client's certificate, signed by either authority. */
  readonly certificate: X509Certificate | undefined;
  /** The client's `id`, which nothing proves; undefined where it sent none. */
  readonly id: string | undefined;
  /** When the answer is no longer in memory: the other side has read it, or it is dropped. */
  readonly sent: Promise<void>;
}

export interface TlsService {
  readonly host: string;
  readonly port: number;
  readonly identity: TlsIdentity;
  /** Another authority, for clients with fewer rights. Its subject must differ from that of the first. */
  readonly guests?: string | undefined;
  readonly answer: (question: TlsQuestion) => Promise<Told>;
  /** Milliseconds for the other side to read an answer; default 30 s. */
  readonly readWithin?: number;
}

/** An answer: a document, or what a file holds. */
type Told =
  | { readonly status: number; readonly body: unknown }
  | { readonly status: number; readonly bytes: Uint8Array };

/** Bytes of a request, milliseconds for it and for its head, and connections that have shown no certificate. */
const QUESTION_BYTES = 256 * 1024;
const QUESTION_TIMEOUT = 15_000;
const HEAD_TIMEOUT = 5000;
const STRANGERS = { fromOne: 16, fromAll: 64 };

/** Milliseconds for an answer to be read, and connections that one certificate may have: an agent opens 8. */
const ANSWER_TIMEOUT = 30_000;
const MOST_OF_ONE = 16;

/** A server that runs. */
export interface TlsServer {
  readonly close: () => Promise<void>;
  /** Shows the identity's current certificate to new connections. */
  readonly renew: () => void;
}

/**
 * Serves JSON and files over TLS, also to clients without a certificate: `answer` decides what each may have. @throws the
 * system's error
 */
export async function serveTls(service: TlsService): Promise<TlsServer> {
  const { host, port, identity, guests } = service;
  const crowd = new Crowd(STRANGERS);
  const known = new Known(MOST_OF_ONE);
  const authority = nameOf(new X509Certificate(identity.authority));
  const shown = (): SecureContextOptions => ({
    cert: `${identity.certificate}\n${identity.authority}`,
    key: identity.key,
    ca: guests === undefined ? identity.authority : [identity.authority, guests],
    minVersion: "TLSv1.2",
  });
  const server = https.createServer(
    {
      ...shown(),
      requestCert: true,
      // A host that joins has no certificate yet: each path decides whom it answers.
      rejectUnauthorized: false,
      handshakeTimeout: HEAD_TIMEOUT,
      requestTimeout: QUESTION_TIMEOUT,
      headersTimeout: HEAD_TIMEOUT,
    },
    (incoming, outgoing) => {
      void respond(incoming, outgoing, service, { crowd, known, authority });
    },
  );
  server.maxConnections = 200;
  const close = await crowd.listen(server, { port, host });
  return { close, renew: () => server.setSecureContext(shown()) };
}

async function respond(
  incoming: http.IncomingMessage,
  outgoing: http.ServerResponse,
  { answer, readWithin = ANSWER_TIMEOUT }: TlsService,
  {
    crowd,
    known: ofOne,
    authority,
  }: { readonly crowd: Crowd; readonly known: Known; readonly authority: string | undefined },
): Promise<void> {
  let told: Told;
  const sent = new Promise<void>((resolve) => outgoing.once("close", resolve));
  try {
    const { socket } = incoming;
    const known = certifiedBy(socket);
    if (known !== undefined) {
      crowd.know(socket);
      ofOne.enter(known.certificate.fingerprint256, socket);
    }
    const isPeer = known?.authority === authority;
    const body = await bodyOf(incoming);
    const id = incoming.headers[ID_HEADER];
    told = await answer({
      method: incoming.method ?? "GET",
      path: incoming.url ?? "/",
      body,
      remote: socket.remoteAddress ?? "",
      peer: isPeer ? known?.name : undefined,
      guest: isPeer ? undefined : known?.name,
      certificate: known?.certificate,
      id: typeof id === "string" ? id : undefined,
      sent,
    });
  } catch (error) {
    told = { status: 500, body: { error: messageOf(error) } };
  }
  const [type, content] =
    "bytes" in told
      ? ["application/octet-stream", told.bytes]
      : ["application/json", Buffer.from(JSON.stringify(told.body))];
  outgoing.writeHead(told.status, { "content-type": type, "content-length": content.length });
  outgoing.end(content);
  // Who does not read keeps it in memory.
  const late = setTimeout(() => outgoing.destroy(), readWithin);
  await sent;
  clearTimeout(late);
}

interface Certified {
  readonly name: string;
  readonly authority: string;
  readonly certificate: X509Certificate;
}

/** The verified client of each connection: read once, as hosts send several requests a second by the same one. */
const certified = new WeakMap<Socket, Certified | undefined>();

/** The client by its certificate; undefined where it has shown none that a trusted authority signed. */
function certifiedBy(socket: Socket): Certified | undefined {
  if (!certified.has(socket)) certified.set(socket, readCertified(socket));
  return certified.get(socket);
}

function readCertified(socket: Socket): Certified | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const { subject, issuer } = socket.getPeerCertificate();
  const certificate = socket.getPeerX509Certificate();
  const [name, authority]: unknown[] = [subject?.CN, issuer?.CN];
  return typeof name === "string" && typeof authority === "string" && certificate
    ? { name, authority, certificate }
    : undefined;
}

function nameOf({ subject }: X509Certificate): string | undefined {
  return /^CN=(.*)$/m.exec(subject)?.[1];
}

async function bodyOf(incoming: http.IncomingMessage): Promise<string> {
  incoming.setEncoding("utf8");
  let text = "";
  for await (const chunk of incoming) {
    text += String(chunk);
    if (text.length > QUESTION_BYTES) throw new Error("the question is too long");
  }
  return text;
}
