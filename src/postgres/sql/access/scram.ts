import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from "node:crypto";

/**
 * SCRAM-SHA-256 verifiers as PostgreSQL stores them (RFC 5803 form; scram-common.c, scram_build_secret).
 * Made on the client so that no password ever reaches the server's log, as psql's \password does.
 */
const ITERATIONS = 4096;

function build(password: string, salt: Buffer, iterations: number): string {
  const salted = pbkdf2Sync(password, salt, iterations, 32, "sha256");
  const hmac = (text: string): Buffer => createHmac("sha256", salted).update(text).digest();
  const stored = createHash("sha256").update(hmac("Client Key")).digest("base64");
  return `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${stored}:${hmac("Server Key").toString("base64")}`;
}

/** A new verifier for a password of printable ASCII (for which SASLprep changes nothing). */
export function scramVerifier(password: string): string {
  return build(password, randomBytes(16), ITERATIONS);
}

/** Whether a stored verifier belongs to this password; false for anything that is not SCRAM. */
export function verifierFits(verifier: string | null, password: string): boolean {
  const match = /^SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$/.exec(verifier ?? "");
  if (!verifier || !match?.[1] || !match[2]) return false;
  const own = Buffer.from(build(password, Buffer.from(match[2], "base64"), Number(match[1])));
  const theirs = Buffer.from(verifier);
  return own.length === theirs.length && timingSafeEqual(own, theirs);
}
