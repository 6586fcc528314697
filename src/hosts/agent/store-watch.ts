import type { X509Certificate } from "node:crypto";
import { isAddress } from "../../config/values/addresses.ts";
import type { EtcdStatus, StoredValue } from "../../consensus/etcd.ts";
import { wantedVoters, type VoterMember } from "../../consensus/voters.ts";
import { monotonic, now } from "../../system/clock.ts";
import { parseJson } from "../../system/files/json-file.ts";
import { memberStart } from "../decisions/store/member-start.ts";
import { isSameHost, withOwnMark } from "../decisions/certificates/same-host.ts";
import { extended, rightByKey, type Right } from "../decisions/primary/right.ts";
import { changedText } from "../documents/change.ts";
import {
  documentSchema,
  writeHostRecord,
  type ClusterDocument,
  type Host,
  type HostRecord,
  type NotedCertificate,
} from "../documents/record.ts";
import type { GuestView } from "../documents/guest-view.ts";
import { viewOfStore, type StoreView } from "../documents/store-view.ts";
import type { EtcdService } from "../programs/etcd-service.ts";
import { hostsPrefix, patroniPrefix, peerUrlOf } from "../documents/places.ts";
import { withOwnCertificate, withRevoked } from "../decisions/certificates/revocation.ts";
import { withKnownOwners, type SeenCertificates } from "../decisions/certificates/seen.ts";
import { isForAddress, noteOf } from "../joining/authority.ts";
import { withoutHost } from "../joining/joining.ts";
import { POOL_KEY } from "./endpoints/host-pool.ts";
import type { OwnRegister } from "../revoking/own-register.ts";
import { same, type OneHost } from "./host.ts";

/** Milliseconds without an answer of the store after which it counts as silent. */
const STORE_SILENT = 5000;

/** Milliseconds that a right still lasts, above which nobody asks how long the key lasts: Patroni renews it each second. */
const RIGHT_LASTS = 15_000;

/**
 * Milliseconds after which the document is held anew against what this host knows, be it the same: certificates end, and it
 * may have been changed back between two looks.
 */
const BELIEVE_EVERY = 20_000;

/** A member of the store, and what it says of itself; undefined where it does not answer. */
export interface WatchedMember extends VoterMember {
  readonly address: string;
  readonly status: EtcdStatus | undefined;
}

/** What the store said when it last answered, and this host's own member of it. */
export class StoreWatch {
  readonly #host: OneHost;
  /** None on a host without a vote. */
  readonly #service: EtcdService | undefined;
  #record: HostRecord;
  #document: ClusterDocument;
  #believedAt = -Infinity;
  /** As it was read: what has not changed is not read again, twice a second. */
  #documentText: string | undefined;
  #view: StoreView | undefined;
  #answeredAt = -Infinity;
  #poolOf: string | undefined;
  #right: Right | undefined;
  /** By which key in the store. */
  #rightBy: string | undefined;
  #members: readonly WatchedMember[] = [];
  #leads = false;
  #isDocumentRead = false;
  readonly #register: OwnRegister;
  /** As the store has it: `#document` says besides what this host knows by itself. */
  #stored: ClusterDocument;
  /** Whether the store's list of revoked certificates is not the one that this host believes. */
  #isListOther = false;
  /** Why the document in the store cannot be read; undefined where it can, or there is none. */
  #documentProblem: string | undefined;
  /** What the document says of this host's certificate: reading one takes a while. */
  #note: { readonly certificate: string; readonly noted: NotedCertificate } | undefined;
  /** Certificates of connections whose owners are in the register already. */
  readonly #read = new WeakSet<X509Certificate>();

  constructor(
    host: OneHost,
    service: EtcdService | undefined,
    known: {
      readonly record: HostRecord;
      readonly document: ClusterDocument;
      readonly register: OwnRegister;
    },
  ) {
    this.#host = host;
    this.#service = service;
    this.#record = known.record;
    this.#register = known.register;
    this.#stored = known.document;
    // As it was kept it may say less than this host has revoked.
    this.#document = this.#believed(known.document);
  }

  /** Who this host is. */
  get record(): HostRecord {
    return this.#record;
  }

  /** As this host believes it: which certificates are revoked is not the store's word alone. */
  get document(): ClusterDocument {
    return this.#document;
  }

  /** What Patroni has written; undefined before the store ever answered. */
  get view(): StoreView | undefined {
    return this.#view;
  }

  /** When the store last answered (monotonic clock); -Infinity before it ever did. */
  get answeredAt(): number {
    return this.#answeredAt;
  }

  get answers(): boolean {
    return monotonic() - this.#answeredAt < STORE_SILENT;
  }

  /** Who keeps the pool; undefined where nobody does. */
  get poolOf(): string | undefined {
    return this.#poolOf;
  }

  /** The host that certainly is the only primary now; undefined where none is. */
  get rightful(): string | undefined {
    return this.#right !== undefined && monotonic() < this.#right.until ? this.#right.host : undefined;
  }

  /** Milliseconds for which it still is. */
  get rightLasts(): number {
    return this.#right === undefined ? 0 : this.#right.until - monotonic();
  }

  /** Someone other than the store has said who is the primary. */
  believe(right: Right): void {
    this.#right = extended(this.#right, right);
  }

  get members(): readonly WatchedMember[] {
    return this.#members;
  }

  /** Whether each host that is to vote has a member that does, and all of them are level. */
  get isLevel(): boolean {
    const voting = this.#document.hosts.filter(({ role }) => role !== "endpoints");
    return (
      this.#members.length === wantedVoters(voting).length &&
      this.#members.every(({ isLearner, isLevel }) => isLevel && !isLearner)
    );
  }

  /** Whether this host's member leads the store. */
  get leads(): boolean {
    return this.#leads;
  }

  /** Whether the cluster's document still names this host, and no other machine by its name. */
  get isListed(): boolean {
    return this.#document.hosts.some((host) => isSameHost(host, this.#record));
  }

  /** Why the document in the store cannot be read: what was read before still counts. Undefined where it can. */
  get documentProblem(): string | undefined {
    return this.#documentProblem;
  }

  /** Certificates that the store says are revoked, and that stay good here, by their serial numbers. */
  get leftOut(): readonly string[] {
    return this.#register.leftOut;
  }

  /** Whether the store has said so itself since the agent was started: what was kept may be of long ago. */
  get isListedInStore(): boolean {
    return this.#isDocumentRead && this.isListed;
  }

  /** How this host's member came to be; undefined where it has none. */
  async startedAs() {
    return await this.#service?.startedAs();
  }

  /** Whether this host's member answered when supervision last asked it. */
  get memberAnswers(): boolean {
    return this.#service?.lastAnswer === "answers";
  }

  /** @throws EtcdError */
  async read(): Promise<void> {
    const { etcd } = this.#host;
    const { cluster } = this.#document;
    const key = `${hostsPrefix(cluster)}document`;
    const [keys, own] = await etcd.list(patroniPrefix(cluster), hostsPrefix(cluster));
    const stored = own.get("document");
    // First: whoever acts on the rest asks whether this is a host of the cluster's still.
    const isOld = monotonic() - this.#believedAt > BELIEVE_EVERY;
    const isNew = stored !== undefined && (isOld || stored.value !== this.#documentText);
    const parsed = isNew ? parseJson(stored.value, documentSchema) : undefined;
    const isOurs = parsed?.ok === true && parsed.value.cluster === cluster;
    if (parsed)
      this.#documentProblem = isOurs ? undefined : parsed.ok ? "it is another cluster's" : parsed.problem;
    if (isOurs) {
      this.#stored = parsed.value;
      const believed = this.#believed(parsed.value);
      if (!same(believed, this.#document)) this.#document = believed;
      this.#isListOther = !same(inOrder(believed), inOrder(parsed.value));
      this.#believedAt = monotonic();
      this.#isDocumentRead = true;
    }
    this.#view = viewOfStore(keys);
    this.#poolOf = own.get(POOL_KEY)?.value;
    this.#answeredAt = monotonic();
    await this.#readRight(keys.get("leader"));
    if (parsed && !isOurs)
      throw new Error(`the cluster's document in the store cannot be read: ${this.#documentProblem}`);
    if (isOurs) {
      await this.#register.save();
      // Not before: what could not be kept is taken up again at the next look.
      this.#documentText = stored?.value;
    }
    if (stored) {
      const mended = this.#mended();
      if (mended) await etcd.swap(key, stored.revision, changedText(stored.value, this.#stored, mended));
    } else if ((await this.startedAs())?.state === "new") {
      await etcd.swap(key, 0n, JSON.stringify(this.#document));
    }
  }

  #believed(document: ClusterDocument): ClusterDocument {
    return this.#register.believe(document, this.#ownNote().serial, now());
  }

  /** The stored document with what is this host's to say in it; undefined where nothing is to be changed. */
  #mended(): ClusterDocument | undefined {
    // One host alone: two that know different things would go on for ever.
    const isMended = this.#isListOther && this.isListed && this.#view?.leader === this.#record.name;
    const document = isMended ? { ...this.#stored, revoked: this.#document.revoked } : this.#stored;
    const marked = withOwnMark(document, this.#record);
    const noted = withOwnCertificate(marked ?? document, this.#record, this.#ownNote());
    return noted ?? marked ?? (isMended ? document : undefined);
  }

  #ownNote(): NotedCertificate {
    const { certificate } = this.#host.identity;
    if (this.#note?.certificate !== certificate) this.#note = { certificate, noted: noteOf(certificate) };
    return this.#note.noted;
  }

  /** Which certificates hosts were ever seen with, here. */
  get seen(): SeenCertificates {
    return this.#register.seen;
  }

  /** Takes up the certificate by which somebody was let in, as a host of the cluster: the store's word is not needed for it. */
  see(name: string, certificate: X509Certificate | undefined): void {
    if (!certificate || this.#read.has(certificate)) return;
    const host = this.#document.hosts.find((known) => known.name === name);
    if (!host) return;
    this.#show(host, certificate.toString());
    this.#read.add(certificate);
  }

  /** Takes up a certificate that was signed here, before anybody has it. @throws the system's error */
  async signed(host: Pick<Host, "name" | "id" | "address">, certificate: string): Promise<void> {
    this.#show(host, certificate);
    await this.#register.save();
  }

  #show({ name, id, address }: Pick<Host, "name" | "id" | "address">, certificate: string): void {
    const is = isForAddress(certificate, address) ? address : undefined;
    this.#register.show(noteOf(certificate), { name, id, address: is });
  }

  /** Keeps what was seen since the last look. @throws the system's error */
  async keep(): Promise<void> {
    await this.#register.save();
  }

  /** The document as a new host is told it: it believes what it hears first. */
  told(document: ClusterDocument): ClusterDocument {
    return withKnownOwners(this.#believed(document), this.#register.seen);
  }

  /**
   * Revokes the certificates of a host here, before anybody else knows of it: no word of the store takes it back. Who is
   * listed is for the document to say.
   * @param from milliseconds since the epoch
   * @param by the host on which it was ordered, where that is known
   * @throws the system's error where it cannot be kept
   */
  async revoke(name: string, from: number, by?: string): Promise<void> {
    const { hosts } = this.#document;
    const revoked = withRevoked(this.#document, { name, from, by, seen: this.seen }, now());
    this.#document = { ...this.#believed(withoutHost(revoked, name)), hosts };
    await this.#register.save();
  }

  /** Another host, which sees the store, has said that this one is no longer part of the cluster: the store answers it nothing. */
  takeRemoval(): void {
    if (this.isListed) this.#document = withoutHost(this.#document, this.#record.name);
    this.#documentText = undefined;
  }

  /** What a host with endpoints alone was told about the store. */
  takeView(view: GuestView): void {
    this.#document = view.document;
    if (!view.store_answers) return;
    this.#view = {
      founded: true,
      leader: view.leader ?? undefined,
      syncLeader: view.sync_leader ?? undefined,
      synchronous: view.synchronous,
      paused: view.status.paused,
      written: undefined,
      dynamic: undefined,
      members: new Map(),
      history: [],
    };
    this.#poolOf = view.pool_of ?? undefined;
    this.#answeredAt = monotonic();
  }

  /** @param askedAt when it was asked for (monotonic clock) */
  takeRight({ rightful }: Pick<GuestView, "rightful">, askedAt: number): void {
    if (rightful) this.believe({ host: rightful.host, until: askedAt + rightful.milliseconds });
  }

  /** For how long nobody else can be the primary: as long as the leader's key lasts. @throws EtcdError */
  async #readRight(leader: StoredValue | undefined): Promise<void> {
    if (leader?.lease === undefined || leader.value === "") return;
    const by = `${leader.value} ${leader.lease}`;
    if (by === this.#rightBy && this.rightful === leader.value && this.rightLasts > RIGHT_LASTS) return;
    const askedAt = monotonic();
    const seconds = await this.#host.etcd.secondsLeft(leader.lease);
    this.#right = extended(this.#right, rightByKey(leader.value, askedAt, seconds));
    this.#rightBy = by;
  }

  /** Sees who is a member of the store, and becomes or ceases to be one as the others have decided. @throws EtcdError */
  async lookAtMembers(): Promise<void> {
    const { etcd, layout } = this.#host;
    const members = await etcd.members();
    const own = peerUrlOf(this.#record);
    const addressOf = (url: string): string => new URL(url).hostname.replaceAll(/^\[|\]$/g, "");
    const statuses = new Map(
      await Promise.all(
        members.map(async ({ peerUrls: [url = ""] }) => {
          const status = await etcd.status(addressOf(url)).catch(() => undefined);
          return [url, status] as const;
        }),
      ),
    );
    const terms = [...statuses.values()].map((status) => status?.raftTerm ?? 0n);
    const term = terms.reduce((most, next) => (next > most ? next : most), 0n);
    this.#members = members.map(({ id, peerUrls: [peerUrl = ""], isLearner }) => {
      const status = statuses.get(peerUrl);
      const isLevel = status !== undefined && status.raftTerm === term && status.leader !== "0";
      return { id, peerUrl, address: addressOf(peerUrl), isLearner, isLevel, status };
    });
    const ownStatus = statuses.get(own);
    this.#leads = ownStatus !== undefined && ownStatus.leader === ownStatus.memberId;
    const voting = members
      .filter(({ isLearner }) => !isLearner)
      .flatMap(({ peerUrls }) => peerUrls.slice(0, 1).map(addressOf))
      .filter(isAddress);
    // On the way to an odd number there are two for some seconds. Each change has Patroni started again everywhere.
    if (voting.length % 2 === 1 && !same([...voting].sort(), [...this.#record.store].sort())) {
      this.#record = { ...this.#record, store: voting };
      await writeHostRecord(layout, this.#record);
      etcd.use(voting);
    }
    const service = this.#service;
    if (!service) return;
    const start = await service.startedAs();
    // One whose name was given to another machine has none of its own, wherever it stands.
    if (!this.isListed && !start) return;
    const isMember = members.some(({ peerUrls }) => peerUrls.includes(own));
    const next = memberStart(
      start,
      members.map(({ name, peerUrls: [url = ""], isLearner }) => ({ name, url, votes: !isLearner })),
      { name: this.#record.name, url: own },
    );
    if (next) await service.become(next);
    if (!isMember && (start || (await service.isLeft()))) await service.retire();
  }
}

/** The list of revoked certificates, however it was put together. */
function inOrder({ revoked }: ClusterDocument): readonly unknown[] {
  return revoked.toSorted((a, b) => (a.serial < b.serial ? -1 : 1));
}
