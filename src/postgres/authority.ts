import { randomBytes } from "node:crypto";
import { OdooPgError } from "../errors.ts";
import { giveFile, kindOf, move, readTextIfAny, writeFileAtomic } from "../system/files/files.ts";
import { temporaryDirectory } from "../system/files/temporary-directory.ts";
import { runOrFail } from "../system/process/process.ts";

/** An authority of the cluster: its certificate and its key, as files. */
export interface Authority {
  readonly certificate: string;
  readonly key: string;
}

/** Ten years: a certificate that expires unnoticed stops replication, or the store. */
const DAYS = 3650;
export const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** Makes an authority where there is none yet. @throws OdooPgError program_missing, command_failed */
export async function ensureAuthorityFiles({ certificate, key }: Authority, name: string): Promise<void> {
  if ((await kindOf(certificate)) === "file" && (await kindOf(key)) === "file") return;
  await openssl([
    "req",
    "-x509",
    ...NEW_KEY,
    "-days",
    String(DAYS),
    "-sha256",
    "-subj",
    `/CN=${name}`,
    "-addext",
    "keyUsage=critical,keyCertSign,cRLSign",
    "-keyout",
    `${key}.new`,
    "-out",
    `${certificate}.new`,
  ]);
  await giveFile(`${key}.new`, { mode: 0o600 });
  await giveFile(`${certificate}.new`, { mode: 0o644 });
  await move(`${key}.new`, key);
  await move(`${certificate}.new`, certificate);
}

/**
 * Signs a request.
 * @param request PEM
 * @param extensions what the certificate is good for, a line each
 * @param days for which it is valid; more where it is not renewed
 * @returns the certificate (PEM)
 * @throws OdooPgError program_missing, command_failed
 */
export async function sign(
  authority: Authority,
  request: string,
  extensions: readonly string[],
  days = DAYS,
): Promise<string> {
  return await temporaryDirectory(undefined, async (folder) => {
    await writeFileAtomic(`${folder}/request`, request);
    await writeFileAtomic(`${folder}/extensions`, `${extensions.join("\n")}\n`);
    await openssl([
      "x509",
      "-req",
      "-in",
      `${folder}/request`,
      "-days",
      String(days),
      "-sha256",
      "-set_serial",
      `0x${randomBytes(16).toString("hex")}`,
      "-CA",
      authority.certificate,
      "-CAkey",
      authority.key,
      "-extfile",
      `${folder}/extensions`,
      "-out",
      `${folder}/certificate`,
    ]);
    return (await readTextIfAny(`${folder}/certificate`)) ?? "";
  });
}

/** openssl's own database, as a list is made of it: `ca` alone makes one. */
const LIST = `[ca]
default_ca = it
[it]
database = FOLDER/index
default_md = sha256
crl_extensions = extensions
[extensions]
authorityKeyIdentifier = keyid
`;

/** It begins before any clock that is wrong, and ends with nothing that it is held against: one that is over would shut all out. */
const LIST_BEGINS = "20200101000000Z";
const LIST_DAYS = 36_500;

/**
 * Signs a list of certificates that are revoked.
 * @param revoked serial numbers (hexadecimal), and when each ends (milliseconds since the epoch)
 * @returns the list (PEM)
 * @throws OdooPgError program_missing, command_failed
 */
export async function signRevocations(
  authority: Authority,
  revoked: readonly { readonly serial: string; readonly until: number }[],
): Promise<string> {
  return await temporaryDirectory(undefined, async (folder) => {
    // If a serial number is there twice, even written otherwise, openssl refuses the whole list.
    const ends = new Map(revoked.map(({ serial, until }) => [BigInt(`0x${serial}`), until]));
    const index = [...ends].map(([number, until]) => {
      const serial = number.toString(16);
      const end = new Date(until).toISOString().replaceAll(/^..|[-:T]|\..*/g, "");
      const even = serial.length % 2 === 0 ? serial : `0${serial}`;
      return `R\t${end}Z\t${LIST_BEGINS.slice(2)}\t${even.toUpperCase()}\tunknown\t/CN=${serial}\n`;
    });
    await writeFileAtomic(`${folder}/index`, index.join(""));
    await writeFileAtomic(`${folder}/configuration`, LIST.replace("FOLDER", folder));
    await openssl([
      "ca",
      "-gencrl",
      "-config",
      `${folder}/configuration`,
      "-cert",
      authority.certificate,
      "-keyfile",
      authority.key,
      "-crl_lastupdate",
      LIST_BEGINS,
      "-crldays",
      String(LIST_DAYS),
      "-out",
      `${folder}/list`,
    ]);
    return (await readTextIfAny(`${folder}/list`)) ?? "";
  });
}

/** Runs openssl. @throws OdooPgError program_missing, command_failed */
export async function openssl(args: readonly string[]): Promise<void> {
  try {
    await runOrFail("openssl", args);
  } catch (error) {
    if (error instanceof OdooPgError && error.code === "program_missing") {
      throw new OdooPgError("program_missing", {
        message: "openssl is needed to make the cluster's certificates, and is not installed.",
        safe: "Nothing was changed.",
        next: "sudo apt-get install -y openssl",
      });
    }
    throw error;
  }
}
