import { X509Certificate } from "node:crypto";
import http from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import { TLSSocket, type SecureContextOptions } from "node:tls";
import { Crowd } from "./crowd.ts";

/** A certificate, its key and the one authority that is believed: all PEM. */
export interface TlsIdentity {
  readonly certificate: string;
  readonly key: string;
  readonly authority: string;
  /** Which machine of the name in the certificate it is: told with each question. */
  readonly id?: string | undefined;
}

/** The header that tells it. */
const ID_HEADER = "odoo-pg-host";

export interface TlsRequest {
  readonly host: string;
  readonly port: number;
  readonly method: "GET" | "POST" | "PATCH";
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /**
   * Whom to believe and who one is; an authority alone: who asks shows no certificate. `anybody`: the other side is not
   * known yet, so nothing secret is asked or told.
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

/** Connections are kept for the next question of the same identity, until it has another certificate. */
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
  // Only to be shown the authority's certificate, which is then held against what one was told of it.
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

/** Asks over TLS. @throws Error when there is no whole answer within the timeout, or the other side is not whom one believes */
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

/** What a server over TLS is asked. */
export interface TlsQuestion {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  /** Address of the other side. */
  readonly remote: string;
  /** The name in the certificate that the other side has shown, where the authority signed it. */
  readonly peer: string | undefined;
  /** The same, where the authority of guests signed it: it has fewer rights. */
  readonly guest: string | undefined;
  /** What it has shown, of either authority: for whom, and for which addresses. */
  readonly certificate: X509Certificate | undefined;
  /** Which machine of that name it says it is; undefined where it says nothing. */
  readonly id: string | undefined;
}

export interface TlsService {
  readonly host: string;
  readonly port: number;
  readonly identity: TlsIdentity;
  /** Another authority, which signs for those who may ask less. Its name must be another one. */
  readonly guests?: string | undefined;
  readonly answer: (question: TlsQuestion) => Promise<{ readonly status: number; readonly body: unknown }>;
}

/** Bytes of a question, milliseconds for it, and connections of those who have shown no certificate. */
const QUESTION_BYTES = 256 * 1024;
const QUESTION_TIMEOUT = 15_000;
const HEAD_TIMEOUT = 5000;
const STRANGERS = { fromOne: 16, fromAll: 64 };

/** A server that runs. */
export interface TlsServer {
  readonly close: () => Promise<void>;
  /** Shows the identity's current certificate to new connections. */
  readonly renew: () => void;
}

/** Serves JSON over TLS to hosts of the cluster, and to strangers what each path allows. @throws the system's error */
export async function serveTls({ host, port, identity, guests, answer }: TlsService): Promise<TlsServer> {
  const crowd = new Crowd(STRANGERS);
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
      // Whoever joins has no certificate yet: each path says whom it answers.
      rejectUnauthorized: false,
      handshakeTimeout: HEAD_TIMEOUT,
      requestTimeout: QUESTION_TIMEOUT,
      headersTimeout: HEAD_TIMEOUT,
    },
    (incoming, outgoing) => {
      void respond(incoming, outgoing, answer, crowd, authority);
    },
  );
  server.maxConnections = 200;
  server.on("connection", (socket: Socket) => crowd.enter(socket));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, host }, resolve);
  });
  // A TLS handshake that fails is not reported.
  server.on("error", () => {});
  return {
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
    renew: () => server.setSecureContext(shown()),
  };
}

async function respond(
  incoming: http.IncomingMessage,
  outgoing: http.ServerResponse,
  answer: TlsService["answer"],
  crowd: Crowd,
  authority: string | undefined,
): Promise<void> {
  let told: { readonly status: number; readonly body: unknown };
  try {
    const { socket } = incoming;
    const known = certifiedBy(socket);
    if (known !== undefined) crowd.know(socket);
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
    });
  } catch (error) {
    told = { status: 500, body: { error: error instanceof Error ? error.message : String(error) } };
  }
  const text = JSON.stringify(told.body);
  outgoing.writeHead(told.status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
  });
  outgoing.end(text);
}

interface Certified {
  readonly name: string;
  readonly authority: string;
  readonly certificate: X509Certificate;
}

/** Who is at the other end of a connection: read once, as hosts ask several times a second by the same one. */
const certified = new WeakMap<Socket, Certified | undefined>();

/** Who it is by its certificate, and by which of the authorities that are believed. */
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
