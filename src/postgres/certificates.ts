import { nextStep, odooPg } from "../next-step.ts";
import { X509Certificate } from "node:crypto";
import path from "node:path";
import { authorityPath, type Layout, type NodeConfig, type NodeLayout } from "../config/layout.ts";
import type { Config } from "../config/schema.ts";
import { OdooPgError } from "../errors.ts";
import {
  giveFile,
  move,
  readableBy,
  readTextIfAny,
  removeFile,
  writeFileAtomic,
  writeFileIfChanged,
  type Owner,
} from "../system/files/files.ts";
import { damagedFile } from "../system/files/json-file.ts";
import { ensureAuthorityFiles, NEW_KEY, openssl, sign, type Authority } from "./authority.ts";

/** A certificate is renewed when it ends sooner than this. */
const RENEW_BEFORE_MS = 90 * 24 * 3600 * 1000;

/** Makes the cluster's own certificate authority, once. Given certificates: their authority is copied. */
export async function ensureAuthority(config: Config, layout: Layout): Promise<void> {
  const certificate = authorityPath(layout);
  if (config.tls) {
    await writeFileIfChanged(certificate, await readGiven(config.tls.ca), { mode: 0o644 });
    return;
  }
  await ensureAuthorityFiles(filesOf(layout), `odoo-pg ${config.cluster} authority`);
}

function filesOf(layout: Layout): Authority {
  return { certificate: authorityPath(layout), key: path.join(layout.tlsDir, "ca.key") };
}

/** Names and addresses that a node's certificate is good for. Sorted: the same input always gives the same text. */
function subjectNames(node: Pick<NodeConfig, "host">, hostname: string, listen: readonly string[]): string[] {
  const isAddress = (text: string): boolean => /^[0-9.]+$/.test(text) || text.includes(":");
  const hosts = new Set([
    "127.0.0.1",
    "::1",
    "localhost",
    hostname,
    node.host,
    ...listen.filter((at) => at !== "*" && at !== "0.0.0.0" && at !== "::"),
  ]);
  return [...hosts].map((host) => (isAddress(host) ? `IP:${host}` : `DNS:${host}`)).sort();
}

/**
 * Makes or renews the certificate of a node, or of what else serves here; says whether the files changed.
 * @param reader the user whose server serves with it; undefined where that is this user
 */
export async function ensureNodeCertificate(
  config: Config,
  layout: Layout,
  node: Pick<NodeConfig, "name" | "host">,
  files: Pick<NodeLayout, "certificateFile" | "keyFile">,
  reader: Owner | undefined,
  hostname: string,
  now: number,
): Promise<boolean> {
  if (config.tls) {
    const certificate = await writeFileIfChanged(
      files.certificateFile,
      await readGiven(config.tls.certificate),
      { mode: 0o644 },
    );
    const key = await writeFileIfChanged(files.keyFile, await readGiven(config.tls.key), readableBy(reader));
    return certificate || key;
  }
  const names = subjectNames(node, hostname, config.listen);
  if (await isGood(files.certificateFile, authorityPath(layout), names, now)) return false;
  const request = `${files.certificateFile}.csr`;
  await openssl([
    "req",
    "-new",
    ...NEW_KEY,
    "-subj",
    `/CN=${node.name}`,
    "-keyout",
    `${files.keyFile}.new`,
    "-out",
    request,
  ]);
  const certificate = await sign(filesOf(layout), (await readTextIfAny(request)) ?? "", [
    `subjectAltName=${names.join(",")}`,
    "extendedKeyUsage=serverAuth",
  ]);
  await writeFileAtomic(`${files.certificateFile}.new`, certificate);
  await giveFile(`${files.keyFile}.new`, readableBy(reader));
  await giveFile(`${files.certificateFile}.new`, { mode: 0o644 });
  await move(`${files.keyFile}.new`, files.keyFile);
  await move(`${files.certificateFile}.new`, files.certificateFile);
  await removeFile(request);
  return true;
}

async function isGood(
  file: string,
  authority: string,
  names: readonly string[],
  now: number,
): Promise<boolean> {
  const text = await readTextIfAny(file);
  const issuer = await readTextIfAny(authority);
  if (text === undefined || issuer === undefined) return false;
  const certificate = certificateIn(text);
  const issuedBy = certificateIn(issuer);
  if (!issuedBy) {
    throw damagedFile(authority, "it holds no certificate", {
      code: "state_dir_unusable",
      safe: "Nothing was changed; the servers keep the certificates that they have.",
      next: nextStep`Put it back from a copy. Without one: remove ${path.dirname(authority)}. For another authority, which clients that verify it have to be given: ${odooPg("up")}`,
    });
  }
  // It is made by this cluster for itself: a damaged one is replaced.
  if (!certificate) return false;
  const has = new Set((certificate.subjectAltName ?? "").toLowerCase().split(", "));
  // OpenSSL writes IPv6 addresses in a form of its own.
  const covered = names.every((name) =>
    name.startsWith("IP:")
      ? certificate.checkIP(name.slice("IP:".length)) !== undefined
      : has.has(name.toLowerCase()),
  );
  return (
    covered && certificate.checkIssued(issuedBy) && Date.parse(certificate.validTo) - now > RENEW_BEFORE_MS
  );
}

function certificateIn(text: string): X509Certificate | undefined {
  try {
    return new X509Certificate(text);
  } catch {
    return undefined;
  }
}

async function readGiven(file: string): Promise<string> {
  const text = await readTextIfAny(file);
  if (text === undefined) {
    throw new OdooPgError("config_invalid", {
      message: `tls: there is no file ${file}.`,
      safe: "Nothing was changed.",
      next: "Correct the path in odoo-pg.yaml, or leave `tls` out so that certificates are made for the cluster.",
    });
  }
  return text;
}
