import * as z from "zod";
import type { Log } from "../../system/log.ts";
import { believedRevocations } from "../decisions/revocation.ts";
import { withSeen, withShown, type SeenCertificates } from "../decisions/seen.ts";
import type { HostFiles } from "../documents/files.ts";
import {
  revokedSchema,
  type ClusterDocument,
  type Host,
  type NotedCertificate,
  type RevokedCertificate,
} from "../documents/record.ts";
import { KeptFile } from "./kept-file.ts";

/** An earlier odoo-pg kept no more than the name and the end. */
const seenSchema = z.record(
  z.string(),
  z.object({
    host: z.string(),
    id: z.string().optional(),
    until: z.number(),
    shown: z.boolean().optional(),
    address: z.string().optional(),
  }),
);

/** Serial numbers that the log names at once. */
const MOST_TOLD = 5;

/**
 * What this host has seen of all hosts' certificates, and which of them it has revoked: it goes by that, and not by the
 * store's word of the moment alone.
 */
export class OwnRegister {
  readonly #seen: KeptFile<SeenCertificates>;
  readonly #revoked: KeptFile<readonly RevokedCertificate[]>;
  readonly #log: Log;
  #told = "";

  private constructor(
    seen: KeptFile<SeenCertificates>,
    revoked: KeptFile<readonly RevokedCertificate[]>,
    log: Log,
  ) {
    this.#seen = seen;
    this.#revoked = revoked;
    this.#log = log;
  }

  /** @throws the system's error where a file cannot be read */
  static async open(files: Pick<HostFiles, "certificates" | "revoked">, log: Log): Promise<OwnRegister> {
    const [seen, revoked] = await Promise.all([
      KeptFile.open<SeenCertificates>(files.certificates, seenSchema, {}, log),
      KeptFile.open<readonly RevokedCertificate[]>(files.revoked, revokedSchema.array(), [], log),
    ]);
    return new OwnRegister(seen, revoked, log);
  }

  /** All that was seen. */
  get seen(): SeenCertificates {
    return this.#seen.value;
  }

  /**
   * Takes up what a document says: it counts at once, and is kept by `save`.
   * @param own the serial number of this host's certificate
   * @param now milliseconds since the epoch
   * @returns the document as this host believes it
   */
  believe(document: ClusterDocument, own: string, now: number): ClusterDocument {
    this.#seen.value = withSeen(this.#seen.value, document, now);
    const { revoked, leftOut } = believedRevocations(
      document,
      { kept: this.#revoked.value, seen: this.#seen.value, own },
      now,
    );
    this.#tell(leftOut);
    this.#revoked.value = revoked;
    return { ...document, revoked };
  }

  /** A certificate that the authority has signed was shown by a host, or signed here. */
  show(
    certificate: NotedCertificate,
    host: Pick<Host, "name" | "id"> & { address: string | undefined },
  ): void {
    this.#seen.value = withShown(this.#seen.value, certificate, host);
  }

  /** Writes what is new. @throws the system's error; the next call tries again */
  async save(): Promise<void> {
    await this.#revoked.save();
    await this.#seen.save();
  }

  /** What is left out changes nothing here, but somebody wrote it. */
  #tell(leftOut: readonly string[]): void {
    const told = [...leftOut].sort();
    const text = told.slice(0, MOST_TOLD).join(", ") + (told.length > MOST_TOLD ? ", …" : "");
    if (text !== "" && text !== this.#told)
      this.#log(
        "warn",
        `somebody has written into the store that ${told.length} certificates of hosts of this cluster are revoked (${text}); they stay good here, and the primary's host takes it out again. Whoever wrote it has the key of a host: find out whose, and see "New keys" in docs/high-availability.md`,
      );
    this.#told = text;
  }
}
