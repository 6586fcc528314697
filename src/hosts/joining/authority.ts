import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import path from "node:path";
import { isAddress } from "../../config/addresses.ts";
import { OdooPgError } from "../../errors.ts";
import { ensureAuthorityFiles, openssl, sign, type Authority } from "../../postgres/authority.ts";
import { giveFile, kindOf, move, readableBy, readTextIfAny, type Owner } from "../../system/files/files.ts";
import { temporaryDirectory } from "../../system/files/temporary-directory.ts";
import type { TlsIdentity } from "../../system/network/mutual-tls.ts";
import type { HostFiles } from "../documents/files.ts";
import type { Host, HostRole } from "../documents/record.ts";

/** A year: agents renew theirs, and that of a host that was removed comes to an end. */
const DAYS = 365;

/**
 * Makes the authorities of the cluster's hosts, once. One signs for hosts with a part in the store, and nothing else:
 * whoever has a certificate of it may do everything there. The other signs for hosts with endpoints alone.
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

/** Makes this host's key, once, and asks for a certificate with it. @returns the request (PEM) */
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
 * Signs a host's request: for its name and its one address, as server and as client. etcd's gateway needs both.
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
    ],
    DAYS,
  );
  if (new X509Certificate(certificate).subject === `CN=${host.name}`) return certificate;
  throw new OdooPgError("refused", {
    message: `The request for a certificate is not in the name of ${host.name}.`,
    safe: "Nothing was changed.",
  });
}

/** How a joining host recognises the authority. */
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

/** When a certificate ends, in milliseconds since the epoch. */
export function endOf(certificate: string): number {
  return Date.parse(new X509Certificate(certificate).validTo);
}

/** Whether a certificate is for a key. */
export function isFor(certificate: string, key: string): boolean {
  return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
}
