import * as z from "zod";
import { now } from "../../system/clock.ts";
import { readTextIfAny, writeFileAtomic } from "../../system/files/files.ts";
import { type TlsIdentity } from "../../system/network/mutual-tls.ts";
import { isToBeRenewed } from "../decisions/certificates/certificate.ts";
import { databasesOf } from "../documents/host-config.ts";
import { endOf, isFor, newRequest, signRequest } from "../joining/authority.ts";
import type { OneHost } from "./host.ts";
import { askOtherAgent } from "../ask-other-agent.ts";
import type { StoreWatch } from "./store-watch.ts";

/** Milliseconds for another host to sign. */
const SIGN_TIMEOUT = 10_000;

const renewedSchema = z.object({ certificate: z.string() });

/** The identity of this host, whose certificate is another one now and then. */
export interface OwnIdentity extends TlsIdentity {
  certificate: string;
}

/** This host's certificate: renewed in time, with the same key. A host that has the authority's key signs its own. */
export class OwnCertificate {
  readonly #host: OneHost;
  readonly #store: StoreWatch;
  readonly #identity: OwnIdentity;
  /** When certificates end, by their text. */
  readonly #ends = new Map<string, number>();

  /** @param identity what all connections of this agent show */
  constructor(host: OneHost, store: StoreWatch, identity: OwnIdentity) {
    this.#host = host;
    this.#store = store;
    this.#identity = identity;
  }

  /** When it ends, in milliseconds since the epoch. */
  get ends(): number {
    return this.#endOf(this.#identity.certificate);
  }

  /** When the authority that signs it ends, the same way. */
  get authorityEnds(): number {
    return this.#endOf(this.#identity.authority);
  }

  /** Each is read once: every report tells both. */
  #endOf(certificate: string): number {
    const known = this.#ends.get(certificate) ?? endOf(certificate);
    this.#ends.set(certificate, known);
    return known;
  }

  /**
   * Renews it where it ends soon.
   * @param taken is told when there is another: whoever shows it has to read it again
   * @throws Error where nobody signs; the present one stays
   */
  async renew(taken: () => Promise<void>): Promise<void> {
    const { files, owner, log } = this.#host;
    if (!isToBeRenewed(this.ends, now())) return;
    const request = await newRequest(files, this.#store.record.name, owner);
    const renewed = await this.#signed(request);
    if (!isFor(renewed, this.#identity.key) || endOf(renewed) <= this.ends)
      throw new Error("the certificate of this host is not renewed: what came is not for it");
    await writeFileAtomic(files.certificate, renewed, { mode: 0o644 });
    this.#identity.certificate = renewed;
    log("info", `the certificate of this host is renewed: it ends on ${new Date(this.ends).toISOString()}`);
    await taken();
  }

  async #signed(request: string): Promise<string> {
    const { files, identity } = this.#host;
    const { record, document } = this.#store;
    if ((await readTextIfAny(files.authorityKey)) !== undefined)
      return await signRequest(files, request, record);
    for (const { address } of databasesOf(document)) {
      const question = { path: "/renew", body: { request }, timeout: SIGN_TIMEOUT };
      const renewed = await askOtherAgent(address, question, renewedSchema, identity);
      if (renewed) return renewed.certificate;
    }
    throw new Error("the certificate of this host is not renewed: no host with a database signs it");
  }
}
