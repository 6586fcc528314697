import * as z from "zod";
import { writeFileAtomic } from "../../system/files/files.ts";
import { inspectJsonFile } from "../../system/files/json-file.ts";
import { withSeen, type SeenCertificates } from "../decisions/revocation.ts";
import type { HostFiles } from "../documents/files.ts";
import type { ClusterDocument } from "../documents/record.ts";

const seenSchema = z.record(z.string(), z.object({ host: z.string(), until: z.number() }));

/** What this host has seen of all hosts' certificates: it revokes by that, and not by the store's word of the moment alone. */
export class CertificatesSeen {
  readonly #files: HostFiles;
  #seen: SeenCertificates | undefined;

  constructor(files: HostFiles) {
    this.#files = files;
  }

  /** Takes up what the document says. @returns all that was ever seen */
  async see(document: ClusterDocument): Promise<SeenCertificates> {
    const before = this.#seen ?? (await this.#kept());
    const after = withSeen(before, document);
    if (after !== before) await writeFileAtomic(this.#files.certificates, JSON.stringify(after));
    this.#seen = after;
    return after;
  }

  /** One that is damaged is begun anew: the document has them all, but for what somebody took out. */
  async #kept(): Promise<SeenCertificates> {
    const kept = await inspectJsonFile(this.#files.certificates, seenSchema);
    return kept?.ok === true ? kept.value : {};
  }
}
