import { ensureAgent, type AgentStart } from "../../agent/control/client.ts";
import path from "node:path";
import { findPgbackrest } from "../../archive/program.ts";
import { messageOf, OdooPgError } from "../../errors.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import { findHaproxy } from "../../endpoints/haproxy.ts";
import { findInstallation } from "../../postgres/installation.ts";
import { authorityPath } from "../../config/layout.ts";
import type { Progress } from "../../progress.ts";
import { prepareStateDirectory } from "../../store/possession.ts";
import { storePasswords, storeForClients } from "../../store/secrets.ts";
import { readApplied } from "../../store/state.ts";
import { now, waitUntil } from "../../system/clock.ts";
import { ensureDirectory, passableFor, writeFileAtomic } from "../../system/files/files.ts";
import { parseJson } from "../../system/files/json-file.ts";
import { askTls } from "../../system/network/mutual-tls.ts";
import { hostsStatus } from "../ask-agent.ts";
import { newRequest, pinOf } from "./authority.ts";
import { hostFiles } from "../documents/files.ts";
import { requireFreePorts, requireOwnAddress } from "./found.ts";
import { greetingSchema, joinAnswerSchema, type Greeting, type JoinGrant } from "./joining.ts";
import { findEtcd, findPatroni, requireEtcdModule } from "../programs/programs.ts";
import {
  keepDocument,
  keepFileConfig,
  readHostRecord,
  writeHostRecord,
  type HostRole,
} from "../documents/record.ts";
import type { HostsStatus } from "../documents/report.ts";
import type { Invitation } from "./tokens.ts";

/** Milliseconds for the inviting host to answer. */
const GREETING_TIMEOUT = 10_000;
const JOIN_TIMEOUT = 60_000;

/** Milliseconds for a host without a database to become ready. A base backup has no timeout. */
const SETTLE_TIMEOUT = 90_000;
const COPY_TIMEOUT = 7 * 24 * 3_600_000;

export interface JoinInput {
  readonly start: AgentStart;
  readonly invitation: Invitation;
  readonly address: string;
  readonly name: string;
  readonly role: HostRole;
}

/**
 * Makes this host one of a cluster. May be interrupted anywhere and run again: once it has its certificate, the same command
 * goes on although the token is used up.
 * @throws OdooPgError refused, program_missing, port_in_use, timed_out
 */
export async function joinCluster(input: JoinInput, progress: Progress): Promise<void> {
  const { layout } = input.start;
  if (!(await readHostRecord(layout))) await enter(input, progress);
  const record = await readHostRecord(layout);
  if (!record) throw new Error("the host's record was not written");
  progress.step(record.name, record.role === "database" ? "start etcd and Patroni" : "start etcd");
  await ensureAgent(input.start);
  let told = "";
  await waitUntil(
    async () => {
      const status = await hostsStatus(layout, 2000);
      const own = status?.hosts.find(({ name }) => name === record.name)?.report;
      const working = own?.working ?? "";
      if (working !== "" && working !== told) progress.step(record.name, working);
      told = working;
      return status !== undefined && isSettled(status, record.name, record.role);
    },
    {
      what: "this host to be a part of the cluster",
      timeout: record.role === "database" ? COPY_TIMEOUT : SETTLE_TIMEOUT,
      interval: 300,
      next: nextStep`It goes on in the background. Look at: ${odooPg("status")}`,
    },
  );
}

/** Whether a host does its part, and the votes are as they should be. */
function isSettled(status: HostsStatus, name: string, role: HostRole): boolean {
  const own = status.hosts.find((host) => host.name === name)?.report;
  if (!own?.sees_store) return false;
  // It waits for a primary to write to, and for nothing else.
  if (role === "endpoints") return own.writes !== null;
  if (status.failover.obstacles.includes("votes_not_settled")) return false;
  if (role !== "database") return true;
  return own.postgres?.streaming === true && status.synchronous.includes(name);
}

async function enter(input: JoinInput, progress: Progress): Promise<void> {
  const { start, invitation, address, name, role } = input;
  const { layout, owner } = start;
  const present = await readApplied(layout);
  if (present) {
    throw new OdooPgError("refused", {
      message: `${layout.stateDir} holds a cluster of its own, ${present.config.cluster}.`,
      safe: "Nothing was changed.",
      next: "Join from a host without one, or name another state_dir.",
    });
  }
  await requireOwnAddress(address);
  const greeting = await greet(invitation);
  await Promise.all([
    role === "endpoints" ? undefined : findEtcd(start),
    role === "database"
      ? findPatroni(start).then(async (patroni) => await requireEtcdModule(patroni, start))
      : undefined,
    role === "witness" ? undefined : findHaproxy(undefined, start),
  ]);
  const installation =
    role === "database" ? await findInstallation({ version: greeting.major }, start) : undefined;
  // Its own file has it so: without it this host would be no copy of the repository, and archive nothing as the primary's.
  if (installation && start.config.backup.any_second.enabled) await findPgbackrest(installation.major, start);
  await requireFreePorts(address, role === "database" ? [greeting.port] : []);
  progress.step(name, `join ${greeting.cluster}`);
  await prepareStateDirectory(layout, owner);
  const files = hostFiles(layout);
  await ensureDirectory(files.dir, passableFor(owner));
  const request = await newRequest(files, name, owner);
  const grant = await ask(invitation, greeting, {
    name,
    role,
    address,
    request,
    clock: now(),
    postgres: installation?.major ?? null,
  });
  await keep(input, grant);
}

/** Asks the inviting host for its authority, and verifies that by the token's pin. @throws OdooPgError refused */
async function greet({ host, port, pin }: Invitation): Promise<Greeting> {
  const safe = "Nothing was changed, and the token was given to nobody.";
  const answer = await askTls({
    host,
    port,
    method: "GET",
    path: "/authority",
    trust: "anybody",
    timeout: GREETING_TIMEOUT,
  }).catch((error: unknown) => {
    throw new OdooPgError("refused", {
      message: `${host}:${port} does not answer: ${messageOf(error)}`,
      safe,
      next: `Is its agent running there, and port ${port} open between the two hosts?`,
    });
  });
  const parsed = parseJson(answer.text, greetingSchema);
  if (parsed.ok && isPinned(parsed.value.authority, pin)) return parsed.value;
  throw new OdooPgError("refused", {
    message: `Whoever answers at ${host}:${port} did not issue the token.`,
    safe,
    next: nextStep`Copy the whole text that was printed there, or have a new one made there: ${odooPg("ha", "invite")}`,
  });
}

function isPinned(authority: string, pin: string): boolean {
  try {
    return pinOf(authority) === pin;
  } catch {
    return false;
  }
}

async function ask(
  { host, port, secret }: Invitation,
  { authority }: Greeting,
  about: Readonly<Record<string, unknown>>,
): Promise<JoinGrant> {
  const answer = await askTls({
    host,
    port,
    method: "POST",
    path: "/join",
    body: { ...about, secret },
    trust: { authority },
    timeout: JOIN_TIMEOUT,
  });
  const parsed = parseJson(answer.text, joinAnswerSchema);
  if (parsed.ok && !("refused" in parsed.value)) return parsed.value;
  const refused = parsed.ok && "refused" in parsed.value ? parsed.value : undefined;
  throw new OdooPgError("refused", {
    message: refused
      ? `The cluster refuses this host: ${refused.refused}.`
      : `${host}:${port} gave an unexpected answer (${answer.status}): ${answer.text.slice(0, 200)}`,
    safe: "Nothing was changed.",
    ...(refused?.next === undefined ? {} : { next: refused.next }),
  });
}

/** Stores what was granted; this host's own record last, as it makes the host one of several. */
async function keep({ start, address, name, role }: JoinInput, grant: JoinGrant): Promise<void> {
  const { layout, owner } = start;
  const files = hostFiles(layout);
  await writeFileAtomic(files.authority, grant.authority, { mode: 0o644 });
  await writeFileAtomic(files.certificate, grant.certificate, { mode: 0o644 });
  if (grant.database) {
    const { database } = grant;
    await writeFileAtomic(files.authorityKey, database.authority_key);
    await writeFileAtomic(files.endpointsAuthority, database.endpoints_authority, { mode: 0o644 });
    await writeFileAtomic(files.endpointsAuthorityKey, database.endpoints_authority_key);
    await writeFileAtomic(authorityPath(layout), database.postgres_authority, { mode: 0o644 });
    await writeFileAtomic(path.join(layout.tlsDir, "ca.key"), database.postgres_authority_key);
    await storePasswords(layout, { ...database.passwords, openerp: database.passwords.openerp }, owner);
  } else await storeForClients(layout, { collectd: grant.collectd, odoo: grant.odoo ?? undefined });
  await keepDocument(layout, grant.document);
  await keepFileConfig(layout, start.config);
  await writeHostRecord(layout, {
    format: 1,
    cluster: grant.document.cluster,
    name,
    role,
    address,
    node: name,
    store: grant.store,
    id: grant.document.hosts.find((host) => host.name === name)?.id,
    user: start.config.user ?? null,
    data_dir: start.config.nodes.find((node) => node.name === name)?.data_dir ?? null,
  });
}
