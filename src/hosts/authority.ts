import { createHash, randomBytes, X509Certificate } from "node:crypto";
import path from "node:path";
import { isAddress } from "../config/addresses.ts";
import { OdooPgError } from "../errors.ts";
import { openssl } from "../postgres/certificates.ts";
import {
  giveFile,
  kindOf,
  move,
  readableBy,
  readTextIfAny,
  temporaryDirectory,
  writeFileAtomic,
  type Owner,
} from "../system/files/files.ts";
import type { TlsIdentity } from "../system/network/mutual-tls.ts";
import type { HostFiles } from "./files.ts";

/** Ten years: a certificate that ends while nobody looks would stop the store. */
const DAYS = "3650";
const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** Makes the authority of the cluster's hosts, once. It signs nothing else: whoever has a certificate of it is a host. */
export async function ensureHostAuthority(files: HostFiles, cluster: string): Promise<void> {
  if ((await kindOf(files.authority)) === "file" && (await kindOf(files.authorityKey)) === "file") return;
  await openssl([
    "req",
    "-x509",
    ...NEW_KEY,
    "-days",
    DAYS,
    "-sha256",
    "-subj",
    `/CN=odoo-pg ${cluster} hosts`,
    "-addext",
    "keyUsage=critical,keyCertSign,cRLSign",
    "-keyout",
    `${files.authorityKey}.new`,
    "-out",
    `${files.authority}.new`,
  ]);
  await giveFile(`${files.authorityKey}.new`, { mode: 0o600 });
  await giveFile(`${files.authority}.new`, { mode: 0o644 });
  await move(`${files.authorityKey}.new`, files.authorityKey);
  await move(`${files.authority}.new`, files.authority);
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
export async function signRequest(
  files: HostFiles,
  request: string,
  host: { readonly name: string; readonly address: string },
): Promise<string> {
  const certificate = await temporaryDirectory(undefined, async (folder) => {
    const at = (name: string): string => path.join(folder, name);
    await writeFileAtomic(at("host.csr"), request);
    const address = `${isAddress(host.address) ? "IP" : "DNS"}:${host.address}`;
    await writeFileAtomic(
      at("host.ext"),
      `subjectAltName=${address},DNS:${host.name.replaceAll("_", "-")}\nextendedKeyUsage=serverAuth,clientAuth\n`,
    );
    await openssl([
      "x509",
      "-req",
      "-in",
      at("host.csr"),
      "-days",
      DAYS,
      "-sha256",
      "-set_serial",
      `0x${randomBytes(16).toString("hex")}`,
      "-CA",
      files.authority,
      "-CAkey",
      files.authorityKey,
      "-extfile",
      at("host.ext"),
      "-out",
      at("host.crt"),
    ]);
    return (await readTextIfAny(at("host.crt"))) ?? "";
  });
  if (new X509Certificate(certificate).subject === `CN=${host.name}`) return certificate;
  throw new OdooPgError("refused", {
    message: `The request for a certificate is not in the name of ${host.name}.`,
    safe: "Nothing was changed.",
  });
}

/** By what whoever joins knows the authority again. */
export function pinOf(authority: string): string {
  return createHash("sha256").update(new X509Certificate(authority).raw).digest("hex");
}

/** Whose certificate this host shows, and whom it believes; undefined before it has one. */
export async function readIdentity(files: HostFiles): Promise<TlsIdentity | undefined> {
  const [certificate, key, authority] = await Promise.all(
    [files.certificate, files.key, files.authority].map(readTextIfAny),
  );
  return certificate === undefined || key === undefined || authority === undefined
    ? undefined
    : { certificate, key, authority };
}
