import { createHash, randomBytes } from "node:crypto";
import * as z from "zod";
import { isAddress } from "../../config/values/addresses.ts";
import { absolutePath, textWithout, wholeNumber } from "../../config/fields.ts";
import { parameterProblem } from "../../config/parameters.ts";
import { configSchema, resolvedConfigSchema, type Config } from "../../config/schema.ts";
import type { Layout } from "../../config/layout.ts";
import { readApplied } from "../../store/state.ts";
import { writeFileAtomic } from "../../system/files/files.ts";
import { readJsonFile } from "../../system/files/json-file.ts";
import { hostFiles } from "./files.ts";

/** What a host does: a database server with a vote, a vote alone, or endpoints alone. */
export const roleSchema = z.enum(["database", "witness", "endpoints"]);
export type HostRole = z.output<typeof roleSchema>;

/** The name of a host: the name of its replication slot and its application_name too. */
export const HOST_NAME = /^[a-z][a-z0-9_]{0,30}$/;

/**
 * Texts of the document stand in the configuration of programs and in rules of who may connect, on every host, and the
 * servers' user of any host may write it: so each is of a form that says nothing else there.
 */
const nameOfHost = z.string().regex(HOST_NAME, "cannot be the name of a host");
const nameOfCluster = configSchema.shape.cluster.unwrap();
const idOfHost = z.string().regex(/^[0-9a-f]{16}$/, "is not the mark of a host");
const addressOfHost = z.string().refine(isAddress, "is not an IP address");
const settings = z.record(z.string(), textWithout(lineProblem)).superRefine((given, context) => {
  for (const [name, value] of Object.entries(given)) {
    const message = parameterProblem(name, value);
    if (message !== undefined) context.addIssue({ code: "custom", message, path: [name] });
  }
});

const nameOfSetting = z.string().regex(/^[a-z_][a-z0-9_.]{0,62}$/i, "is no name of a setting");

/**
 * The configuration, by what is known of it: a later odoo-pg may have keys that this one has not, while hosts are upgraded
 * one by one. In a file of the operator's such a key is a slip, and refused.
 */
const configOfDocument = z.unknown().transform((given, context): Config => {
  const strict = resolvedConfigSchema.safeParse(given);
  if (strict.success) return strict.data;
  const unknown = strict.error.issues.flatMap((issue) =>
    issue.code === "unrecognized_keys" ? issue.keys.map((key) => [...issue.path, key]) : [],
  );
  const parsed = resolvedConfigSchema.safeParse(unknown.reduce<unknown>(without, given));
  if (parsed.success) return parsed.data;
  for (const { path, message } of parsed.error.issues)
    context.addIssue({ code: "custom", path: [...path], message });
  return z.NEVER;
});

/** A value without what is at a place in it. */
function without(value: unknown, [key, ...rest]: readonly PropertyKey[]): unknown {
  if (Array.isArray(value))
    return value.map((one: unknown, index) => (index === key ? without(one, rest) : one));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, inner]): [string, unknown][] => {
      if (name !== key) return [[name, inner]];
      return rest.length ? [[name, without(inner, rest)]] : [];
    }),
  );
}

function lineProblem(text: string): string | undefined {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return /[\u0000-\u001f\u007f]/.test(text) ? "holds a control character" : undefined;
}

/** A serial number (hexadecimal) as it is compared: the same one can be written in several ways. */
export function plainSerial(serial: string): string {
  return serial.toLowerCase().replace(/^0+(?=.)/, "");
}

/** A certificate of a host, by what it is known again. */
const certificateSchema = z.object({
  serial: z
    .string()
    .regex(/^[0-9a-f]{1,40}$/, "is no serial number")
    .transform(plainSerial),
  /** Milliseconds since the epoch, when it ends. */
  until: wholeNumber(0, 253_402_300_799_000),
});
export type NotedCertificate = z.output<typeof certificateSchema>;

/** One that is taken from nobody any more. */
export const revokedSchema = certificateSchema.extend({
  /** Milliseconds since the epoch: a host that leaves by itself has time to do so. */
  from: wholeNumber(0, 253_402_300_799_000),
  /** Where the host was: nothing replicates from there, unless another host is there now. */
  address: addressOfHost,
  /** The host on which somebody ordered it; undefined where it is not known. An earlier odoo-pg noted none. */
  by: nameOfHost.optional().catch(undefined),
});
export type RevokedCertificate = z.output<typeof revokedSchema>;

/** Certificates that a list names: more than any cluster has in the years for which they last. */
export const MOST_CERTIFICATES = 1000;

/**
 * A list that whoever may write into the store can fill: what is no such thing in it is left out, and the rest of the
 * document is read as ever. How many of them count is for those who use it.
 */
function listOf<T>(schema: z.ZodType<T>) {
  return z
    .unknown()
    .array()
    .catch([])
    .transform((list) =>
      list.flatMap((one) => {
        const parsed = schema.safeParse(one);
        return parsed.success ? [parsed.data] : [];
      }),
    );
}

/** Each certificate once: from the earliest moment, and until the latest, that is said of it. */
export function mergedRevocations(revoked: readonly RevokedCertificate[]): RevokedCertificate[] {
  const merged = new Map<string, RevokedCertificate>();
  for (const one of revoked) {
    const before = merged.get(one.serial) ?? one;
    const [from, until] = [Math.min(before.from, one.from), Math.max(before.until, one.until)];
    merged.set(one.serial, { ...before, from, until });
  }
  return [...merged.values()];
}

const hostSchema = z.object({
  name: nameOfHost,
  role: roleSchema,
  /** Where the other hosts reach it. */
  address: addressOfHost,
  /** Which machine of this name it is: another one that is given the name gets another. An earlier odoo-pg gave none. */
  id: idOfHost.optional(),
  /** Its certificates, which are revoked with it. An earlier odoo-pg noted none. */
  certificates: listOf(certificateSchema).optional(),
});
export type Host = z.output<typeof hostSchema>;

function areDistinct(hosts: readonly Host[]): boolean {
  const distinct = (key: "name" | "address"): number => new Set(hosts.map((host) => host[key])).size;
  return distinct("name") === hosts.length && distinct("address") === hosts.length;
}

/**
 * What all hosts of a cluster share: one document in the store, changed by compare and swap alone. The cluster's name in its
 * configuration is the document's own, which no host takes another one for: else one write into the store would give every
 * host another place in the repository of any second, and other copies elsewhere.
 */
export const documentSchema = z
  .object({
    format: z.literal(1),
    cluster: nameOfCluster,
    system_identifier: z.string().regex(/^\d{0,20}$/, "is not a number"),
    /** Major version of PostgreSQL. */
    major: wholeNumber(9, 99),
    /** The configuration, as the first host had it; what is of a host is put in by `configOf`. */
    config: configOfDocument,
    /** PostgreSQL settings that were chosen when the cluster was made. */
    settings,
    /** Settings that no host may have otherwise: the values that the first host's server ran with. */
    shared: settings,
    /** Settings that `up` has changed, and that not all servers were restarted for yet. An earlier odoo-pg noted none. */
    restart: z.array(nameOfSetting).default([]),
    /** Port of PostgreSQL on every host. */
    port: wholeNumber(1, 65535),
    /** In the order in which they came. */
    hosts: hostSchema.array().refine(areDistinct, "have a name or an address twice"),
    /** Certificates of hosts that are none any more. */
    revoked: listOf(revokedSchema).transform(mergedRevocations),
  })
  .transform((document) => ({ ...document, config: { ...document.config, cluster: document.cluster } }));
export type ClusterDocument = z.output<typeof documentSchema>;

/** How two hosts know that they apply the same configuration. */
export function configurationMark({ config, shared }: Pick<ClusterDocument, "config" | "shared">): string {
  return createHash("sha256")
    .update(JSON.stringify([config, shared]))
    .digest("hex")
    .slice(0, 16);
}

/** Who this host is. */
const recordSchema = z.object({
  format: z.literal(1),
  cluster: nameOfCluster,
  name: nameOfHost,
  role: roleSchema,
  address: addressOfHost,
  /** The name of its node: the first host keeps the one that its node had. */
  node: nameOfHost,
  /** Hosts of the store that are asked before its members are known. */
  store: addressOfHost.array(),
  /** By it the document tells this machine from another one that has or had its name; undefined before it has one. */
  id: idOfHost.optional(),
  /**
   * The user of its servers and its data directory, as its own file said when it became one of several; null: the usual
   * ones. An earlier odoo-pg did not keep them here.
   */
  user: z.string().nullable().optional(),
  data_dir: absolutePath().nullable().optional(),
});
export type HostRecord = z.output<typeof recordSchema>;

const DAMAGED = {
  code: "state_dir_unusable",
  safe: "Nothing was changed; what runs keeps running.",
  next: "Put the file back from a copy: it says which host of the cluster this is.",
} as const;

/** Who this host is; undefined where the cluster has one host alone. @throws OdooPgError state_dir_unusable */
export async function readHostRecord(layout: Pick<Layout, "stateDir">): Promise<HostRecord | undefined> {
  return await readJsonFile(hostFiles(layout).record, recordSchema, DAMAGED);
}

/**
 * Who this host is, with all that it has to know by itself. What an earlier odoo-pg did not keep is what was applied here
 * last, so that nothing changes.
 * @throws OdooPgError state_dir_unusable
 */
export async function wholeHostRecord(layout: Layout): Promise<HostRecord | undefined> {
  const record = await readHostRecord(layout);
  if (!record) return undefined;
  const { user, data_dir, id } = record;
  if (user !== undefined && data_dir !== undefined && id !== undefined) return record;
  const config = (await readApplied(layout))?.config;
  const known = (await readKeptDocument(layout))?.hosts.find(
    ({ name, address }) => name === record.name && address === record.address,
  );
  const whole = { ...withOwnPlaces(record, config), id: id ?? known?.id ?? newHostId() };
  await writeHostRecord(layout, whole);
  return whole;
}

/** Unique to this machine. */
export function newHostId(): string {
  return randomBytes(8).toString("hex");
}

/** @param config what was applied on this host last; undefined where nothing was */
export function withOwnPlaces(record: HostRecord, config: Config | undefined): HostRecord {
  const node = config?.nodes.find(({ name }) => name === record.node);
  return {
    ...record,
    user: record.user === undefined ? (config?.user ?? null) : record.user,
    data_dir: record.data_dir === undefined ? (node?.data_dir ?? null) : record.data_dir,
  };
}

export async function writeHostRecord(layout: Pick<Layout, "stateDir">, record: HostRecord): Promise<void> {
  await writeFileAtomic(hostFiles(layout).record, `${JSON.stringify(record, undefined, 2)}\n`);
}

/** The document as it was last read from the store. @throws OdooPgError state_dir_unusable */
export async function readKeptDocument(
  layout: Pick<Layout, "stateDir">,
): Promise<ClusterDocument | undefined> {
  return await readJsonFile(hostFiles(layout).document, documentSchema, {
    ...DAMAGED,
    next: "Remove the file: it is read from the store again.",
  });
}

export async function keepDocument(
  layout: Pick<Layout, "stateDir">,
  document: ClusterDocument,
): Promise<void> {
  await writeFileAtomic(hostFiles(layout).document, `${JSON.stringify(document)}\n`);
}

/**
 * The configuration of this host's file as it was last taken up: what differs from it was changed since, and is meant
 * for all hosts. Undefined on a host that never had one. @throws OdooPgError state_dir_unusable
 */
export async function readFileConfig(layout: Pick<Layout, "stateDir">): Promise<Config | undefined> {
  return await readJsonFile(hostFiles(layout).fileConfig, resolvedConfigSchema, {
    ...DAMAGED,
    next: "Remove the file: what the configuration file says now is then taken as known.",
  });
}

export async function keepFileConfig(layout: Pick<Layout, "stateDir">, config: Config): Promise<void> {
  await writeFileAtomic(hostFiles(layout).fileConfig, `${JSON.stringify(config)}\n`);
}
