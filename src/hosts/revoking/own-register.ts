import * as z from "zod";
import type { Log } from "../../system/log.ts";
import { believedRevocations } from "../decisions/certificates/revocation.ts";
import { withSeen, withShown, type SeenCertificates } from "../decisions/certificates/seen.ts";
import type { HostFiles } from "../documents/files.ts";
import {
  revokedSchema,
  type ClusterDocument,
  type Host,
  type NotedCertificate,
  type RevokedCertificate,
} from "../documents/record.ts";
import { KeptFile } from "./kept-file.ts";

/** An earlier odoo-pg recorded only the name and the end. */
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

/** Serial numbers that one line of the log names at most. */
const MOST_TOLD = 5;

/**
 * This host's own register of all hosts' certificates, seen and revoked: it relies on that, and not on what the store says at
 * the moment.
 */
export class OwnRegister {
  readonly #seen: KeptFile<SeenCertificates>;
  readonly #revoked: KeptFile<readonly RevokedCertificate[]>;
  readonly #log: Log;
  #leftOut: readonly string[] = [];
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

  /** Certificates that the document says are revoked, and that stay good here, by serial numbers. */
  get leftOut(): readonly string[] {
    return this.#leftOut;
  }

  /** All certificates that were seen. */
  get seen(): SeenCertificates {
    return this.#seen.value;
  }

  /**
   * Takes over what a document says: it counts at once, and `save` writes it.
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

  /** Records a certificate of the authority that a host has shown, or that was signed here. */
  show(
    certificate: NotedCertificate,
    host: Pick<Host, "name" | "id"> & { address: string | undefined },
  ): void {
    this.#seen.value = withShown(this.#seen.value, certificate, host);
  }

  /** Writes changes to the files. @throws the system's error; the next call tries again */
  async save(): Promise<void> {
    await this.#revoked.save();
    await this.#seen.save();
  }

  /** Logs entries that were ignored: they change nothing here, but somebody wrote them. */
  #tell(leftOut: readonly string[]): void {
    const told = [...leftOut].sort();
    this.#leftOut = told;
    const text = told.slice(0, MOST_TOLD).join(", ") + (told.length > MOST_TOLD ? ", …" : "");
    if (text !== "" && text !== this.#told)
      this.#log(
        "warn",
        `somebody has written into the store that ${told.length} certificates of hosts of this cluster are revoked (${text}); they stay good here, and the primary's host takes it out again. Whoever wrote it has the key of a host: find out whose, and see "New keys" in docs/high-availability.md`,
      );
    this.#told = text;
  }
}
