import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/** Milliseconds for which a token is valid. */
export const TOKEN_LIFE = 3_600_000;

/** A token that was issued: its hash, not the token itself. */
export interface KeptToken {
  readonly hash: string;
  /** Milliseconds since the epoch. */
  readonly until: number;
  /** Whether it lets in only a host with endpoints alone. */
  readonly endpoints_only: boolean;
}

/** The contents of a token: where to ask, the secret that lets a host in once, and how it recognises the other side. */
export interface Invitation {
  readonly host: string;
  readonly port: number;
  readonly secret: string;
  /** SHA-256 of the authority's certificate. */
  readonly pin: string;
}

function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

/** A new secret of 128 bits, and what is kept of it. @param now milliseconds since the epoch */
export function newToken(
  now: number,
  endpointsOnly = false,
): { readonly secret: string; readonly kept: KeptToken } {
  const secret = randomBytes(16).toString("base64url");
  return { secret, kept: { hash: hashOf(secret), until: now + TOKEN_LIFE, endpoints_only: endpointsOnly } };
}

/** The record of a token, and the others; undefined where it is none of them, or has expired. */
export function takeToken(
  tokens: readonly KeptToken[],
  secret: string,
  now: number,
): { readonly token: KeptToken; readonly left: readonly KeptToken[] } | undefined {
  const wanted = Buffer.from(hashOf(secret), "hex");
  const alive = tokens.filter(({ until }) => until > now);
  const token = alive.find(({ hash }) => timingSafeEqual(Buffer.from(hash, "hex"), wanted));
  return token && { token, left: alive.filter((other) => other !== token) };
}

/** `ADDRESS:PORT#SECRET.PIN`, as `join` takes it. */
export function showInvitation({ host, port, secret, pin }: Invitation): string {
  const address = host.includes(":") ? `[${host}]` : host;
  return `${address}:${port}#${secret}.${Buffer.from(pin, "hex").toString("base64url")}`;
}

/** The contents of such a text; undefined where it is none. */
export function readInvitation(text: string): Invitation | undefined {
  const found = /^(?:\[([0-9a-fA-F:]+)\]|([^:#\s]+)):(\d{1,5})#([\w-]{22})\.([\w-]{43})$/.exec(text.trim());
  if (!found) return undefined;
  const [, bracketed, plain, port, secret = "", pin = ""] = found;
  return {
    host: bracketed ?? plain ?? "",
    port: Number(port),
    secret,
    pin: Buffer.from(pin, "base64url").toString("hex"),
  };
}
