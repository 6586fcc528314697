import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import path from "node:path";
import { isAddress } from "../../config/values/addresses.ts";
import { OdooPgError } from "../../errors.ts";
import {
  ensureAuthorityFiles,
  openssl,
  sign,
  signRevocations,
  type Authority,
} from "../../postgres/authority.ts";
import {
  giveFile,
  kindOf,
  move,
  readableBy,
  readTextIfAny,
  writeFileAtomic,
  type Owner,
} from "../../system/files/files.ts";
import { temporaryDirectory } from "../../system/files/temporary-directory.ts";
import type { TlsIdentity } from "../../system/network/mutual-tls.ts";
import type { HostFiles } from "../documents/files.ts";
import { plainSerial, type Host, type HostRole, type NotedCertificate } from "../documents/record.ts";

/** A year: agents renew theirs, and that of a removed host expires. */
const DAYS = 365;
/** The same in milliseconds. */
export const CERTIFICATE_LIFE = DAYS * 24 * 3_600_000;

/**
 * Makes the two authorities of the cluster, once. One signs for hosts with a member of the store, and for nothing else, as its
 * certificates give all rights on the store. The other signs for hosts with endpoints alone.
 */
export async function ensureHostAuthorities(files: HostFiles, cluster: string): Promise<void> {
  await ensureAuthorityFiles(authorityFor(files, "database"), `odoo-pg ${cluster} hosts`);
  await ensureAuthorityFiles(authorityFor(files, "endpoints"), `odoo-pg ${cluster} endpoints`);
}

function authorityFor(files: HostFiles, role: HostRole): Authority {
  return role === "endpoints"
    ? { certificate: files.endpointsAuthority, key: files.endpointsAuthorityKey }
    : { certificate: files.authority, key: files.authorityKey };
}

/** Makes this host's key, once, and a request for a certificate with it. @returns the request (PEM) */
export async function newRequest(files: HostFiles, name: string, reader: Owner | undefined): Promise<string> {
  return await temporaryDirectory(undefined, async (folder) => {
    const request = path.join(folder, "host.csr");
    if ((await kindOf(files.key)) === undefined) {
      await openssl(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", `${files.key}.new`]);
      await giveFile(`${files.key}.new`, readableBy(reader));
      await move(`${files.key}.new`, files.key);
    }
    await openssl(["req", "-new", "-key", files.key, "-subj", `/CN=${name}`, "-out", request]);
    return (await readTextIfAny(request)) ?? "";
  });
}

/**
 * Signs a host's request, for its name and its one address, as server and as client: etcd's gateway needs both.
 * @throws OdooPgError refused for a request in another name
 */
export async function signRequest(files: HostFiles, request: string, host: Host): Promise<string> {
  const address = `${isAddress(host.address) ? "IP" : "DNS"}:${host.address}`;
  const certificate = await sign(
    authorityFor(files, host.role),
    request,
    [
      `subjectAltName=${address},DNS:${host.name.replaceAll("_", "-")}`,
      "extendedKeyUsage=serverAuth,clientAuth",
      // Python 3.13, which Patroni runs on, needs these key identifiers to verify the chain.
      "subjectKeyIdentifier=hash",
      "authorityKeyIdentifier=keyid",
    ],
    DAYS,
  );
  if (new X509Certificate(certificate).subject === `CN=${host.name}`) return certificate;
  throw new OdooPgError("refused", {
    message: `The request for a certificate is not in the name of ${host.name}.`,
    safe: "Nothing was changed.",
  });
}

/** SHA-256 of the authority's certificate, by which a joining host recognises it. */
export function pinOf(authority: string): string {
  return createHash("sha256").update(new X509Certificate(authority).raw).digest("hex");
}

/** The certificate this host shows, and the authority it trusts; undefined before it has one. */
export async function readIdentity(files: HostFiles): Promise<TlsIdentity | undefined> {
  const [certificate, key, authority] = await Promise.all(
    [files.certificate, files.key, files.authority].map(readTextIfAny),
  );
  return certificate === undefined || key === undefined || authority === undefined
    ? undefined
    : { certificate, key, authority };
}

/** A certificate as the cluster's document has it. */
export function noteOf(certificate: string): NotedCertificate {
  return { serial: plainSerial(new X509Certificate(certificate).serialNumber), until: endOf(certificate) };
}

/** Begins the line after the list that names the serial numbers in it. */
const SERIALS = "# ";

/** The serial numbers in a list that `writeRevocations` wrote. */
export function serialsIn(list: string): string[] {
  const line = list.split("\n").findLast((text) => text.startsWith(SERIALS));
  return (line?.slice(SERIALS.length) ?? "").split(" ").filter((serial) => serial !== "");
}

/**
 * Writes the list of revoked certificates, where it differs. On a host without the authority's key the host itself signs it:
 * etcd checks the serial numbers alone, and nothing else there reads it.
 * Source: etcd 3.5, client/pkg/transport/listener_tls.go, checkCRL
 * @returns whether it was written
 * @throws OdooPgError program_missing, command_failed
 */
export async function writeRevocations(
  files: HostFiles,
  revoked: readonly NotedCertificate[],
): Promise<boolean> {
  const serials = [...new Set(revoked.map(({ serial }) => serial))].sort();
  const noted = `${SERIALS}${serials.join(" ")}\n`;
  if ((await readTextIfAny(files.revocations))?.endsWith(`-\n${noted}`) === true) return false;
  const own = { certificate: files.certificate, key: files.key };
  const authority = authorityFor(files, "database");
  const signer = (await kindOf(authority.key)) === undefined ? own : authority;
  const list = await signRevocations(signer, revoked);
  const shared = { mode: 0o644 };
  // Patroni's first, as etcd's tells what was written.
  await writeFileAtomic(
    files.patroniAuthority,
    `${(await readTextIfAny(files.authority)) ?? ""}${list}`,
    shared,
  );
  await writeFileAtomic(files.revocations, `${list}${noted}`, shared);
  return true;
}

/** When a certificate ends, in milliseconds since the epoch. */
export function endOf(certificate: string): number {
  return Date.parse(new X509Certificate(certificate).validTo);
}

/** Whether a certificate is for a host at this address. */
export function isForAddress(certificate: string, address: string): boolean {
  return new X509Certificate(certificate).checkIP(address) !== undefined;
}

/** Whether a certificate is for a key. */
export function isFor(certificate: string, key: string): boolean {
  return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
}
