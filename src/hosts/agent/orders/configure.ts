import { ZodError } from "zod";
import type { Config } from "../../../config/schema.ts";
import { OdooPgError } from "../../../errors.ts";
import { odooPg } from "../../../next-step.ts";
import { renderPostgresqlConf } from "../../../postgres/render.ts";
import { settingsNeedingRestart } from "../../../postgres/sql/operations.ts";
import { validateConfiguration } from "../../../postgres/validate.ts";
import { waitUntil } from "../../../system/clock.ts";
import { temporaryDirectory } from "../../../system/files/temporary-directory.ts";
import {
  refuseChanges,
  showPath,
  unfitForHosts,
  withChanges,
  type ConfigChange,
} from "../../decisions/settings/configure.ts";
import { changeDocument } from "../../documents/change.ts";
import { databasesOf } from "../../documents/host-config.ts";
import { configurationMark, type ClusterDocument } from "../../documents/record.ts";
import { renderInput } from "../../render/own-files.ts";
import { SHARED_SETTINGS } from "../../render/patroni.ts";
import { wantedParameters } from "../../render/server.ts";
import type { AskedRestarts } from "./asked-restarts.ts";
import { notReady, type OneHost, type Outcome } from "../host.ts";
import type { OtherHosts } from "../other-hosts.ts";
import type { OwnNode } from "../own-server/own-node.ts";
import type { StoreWatch } from "../store-watch.ts";

/** Milliseconds for the hosts that answer to take a configuration up, and for a server to say what waits for a restart. */
const APPLY_TIMEOUT = 60_000;
const PENDING_TIMEOUT = 60_000;

/** Milliseconds for a server that was restarted to say that nothing waits any more. */
const CLEAR_TIMEOUT = 10_000;

export interface ConfigureParts {
  readonly store: StoreWatch;
  readonly asked: AskedRestarts;
  readonly others: OtherHosts;
  readonly node: OwnNode;
  /** Of odoo-pg here. */
  readonly version: string;
  /** Restarts the servers of these hosts, one by one. @returns what was done, in words */
  readonly restart: (hosts: readonly string[], primary: "last" | "in place") => Promise<string>;
}

/** What a change of the configuration means for the servers. */
interface Effect {
  readonly config: Config;
  /** Settings of servers that change, in words. */
  readonly settings: readonly string[];
  readonly needRestart: readonly string[];
  /** Values that must be the same on every host. */
  readonly shared: Readonly<Record<string, string>>;
}

/**
 * Changes the configuration of all hosts, on the primary's: it is checked by PostgreSQL itself, written into the cluster's
 * document by compare and swap, taken up by each host's agent, and what needs a restart gets one. May be cut off anywhere
 * and run again.
 * @throws OdooPgError refused, config_invalid, parameter_invalid, timed_out
 */
export async function configure(
  host: OneHost,
  parts: ConfigureParts,
  changes: readonly ConfigChange[],
  dryRun: boolean,
): Promise<Outcome> {
  const { store } = parts;
  if (changes.length === 0) {
    const waiting = parts.asked.waiting;
    if (!waiting.length) return { done: toldOfOthers(parts), changed: false };
    if (dryRun)
      return {
        done: spoken([`Wait for a restart: ${waiting.join(", ")}.`, toldOfOthers(parts)]),
        changed: false,
      };
    return { done: spoken([await restartWaiting(host, parts), toldOfOthers(parts)]), changed: true };
  }
  const refused = refuseChanges(changes);
  if (refused !== undefined) throw notReady(`${refused}.`);
  const effect = await effectOf(host, parts, changes);
  const keys = changes.map(({ path }) => showPath(path)).join(", ");
  if (dryRun)
    return {
      done: [toldBefore(keys, effect), toldOfOthers(parts)].filter(Boolean).join("\n"),
      changed: false,
    };
  const document = await changeDocument(host.etcd, store.document.cluster, (before) => ({
    ...before,
    config: withChanges(before.config, changes),
    shared: { ...before.shared, ...effect.shared },
    // Noted before it is done: cut off, the next `up` restarts for these, and for nothing else.
    restart: [...new Set([...before.restart, ...effect.needRestart])].sort(),
  }));
  host.log("info", `configuration changed: ${keys}`);
  const { applied, away, others } = await untilApplied(parts, document);
  await untilWaiting(parts, effect.needRestart);
  const restarted = await restartWaiting(host, parts);
  return {
    done: spoken([
      `Changed on ${applied.join(", ")}: ${keys}.`,
      away.length ? `${away.join(", ")} will apply it when back.` : "",
      others.length
        ? `${others.join(", ")}: another version of odoo-pg runs there, and applies what it knows of it; install the same version on all hosts.`
        : "",
      restarted,
      toldOfOthers(parts),
    ]),
    changed: true,
  };
}

function spoken(sentences: readonly string[]): string {
  return sentences.filter((sentence) => sentence !== "").join(" ");
}

/** Nobody is cut off for what no `up` has changed; "" where nothing of the kind waits. */
function toldOfOthers(parts: ConfigureParts): string {
  const waiting = databasesOf(parts.store.document).flatMap(({ name }) => {
    const { others } = parts.asked.of(name);
    return others.length ? [`${name} (${others.join(", ")})`] : [];
  });
  return waiting.length
    ? `Wait for a restart that no up has asked for, and get none now: ${waiting.join("; ")}. When it suits: odoo-pg restart`
    : "";
}

function toldBefore(keys: string, { settings, needRestart }: Effect): string {
  return [
    `Would be changed on all hosts: ${keys}.`,
    ...(settings.length ? [`Settings of the servers: ${settings.join(", ")}.`] : []),
    needRestart.length
      ? `Each server would be restarted for ${needRestart.join(", ")}: replicas first, the primary last, after another host has taken over.`
      : "No server would be restarted.",
  ].join("\n");
}

/** @throws OdooPgError config_invalid, parameter_invalid, refused */
async function effectOf(
  host: OneHost,
  { store, node }: ConfigureParts,
  changes: readonly ConfigChange[],
): Promise<Effect> {
  const { installation, owner } = host;
  if (!installation) throw notReady("This host has no database.");
  const config = valid(store.document, changes);
  const unfit = unfitForHosts(config);
  if (unfit) throw notReady(`Not with several hosts: ${unfit.why}.`);
  const [before, after] = [
    await renderInput(node.input(), installation),
    await renderInput(node.input(), installation, config),
  ];
  await temporaryDirectory(owner, async (folder) => {
    await validateConfiguration(
      installation,
      renderPostgresqlConf(after),
      `${folder}/postgresql.conf`,
      owner,
    );
  });
  const [old, wanted] = [wantedParameters(before), wantedParameters(after)];
  const names = [...new Set([...old.keys(), ...wanted.keys()])].filter(
    (name) => old.get(name) !== wanted.get(name),
  );
  const shared: readonly string[] = SHARED_SETTINGS;
  return {
    config,
    settings: names.map(
      (name) => `${name} ${old.get(name) ?? "(default)"} → ${wanted.get(name) ?? "(default)"}`,
    ),
    needRestart: await node.server().use(async (session) => await settingsNeedingRestart(session, names)),
    shared: Object.fromEntries(
      names.filter((name) => shared.includes(name)).map((name) => [name, known(name, wanted.get(name))]),
    ),
  };
}

function known(name: string, value: string | undefined): string {
  if (value !== undefined) return value;
  throw notReady(`Write the value that ${name} should have: it must be the same on all hosts.`);
}

function valid(document: ClusterDocument, changes: readonly ConfigChange[]): Config {
  try {
    return withChanges(document.config, changes);
  } catch (error) {
    if (!(error instanceof ZodError)) throw error;
    throw new OdooPgError("config_invalid", {
      message: `With these changes the configuration is invalid: ${error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ")}`,
      safe: "Nothing was changed.",
      next: odooPg("config", "check"),
    });
  }
}

/**
 * Waits until all hosts that answer have it. One whose odoo-pg is of another version reads another configuration of the
 * same document, if only by a default: nothing tells that it has it.
 */
async function untilApplied({ store, others, version }: ConfigureParts, document: ClusterDocument) {
  const mark = configurationMark(document);
  // What a host with endpoints alone reports about itself decides nothing.
  const names = document.hosts.filter(({ role }) => role !== "endpoints").map(({ name }) => name);
  const own = store.record.name;
  const isOther = (name: string): boolean =>
    name !== own && others.answers(name) && others.heard.get(name)?.report.version !== version;
  const has = (name: string): boolean =>
    name === own
      ? configurationMark(store.document) === mark
      : others.heard.get(name)?.report.configuration === mark;
  await waitUntil(() => names.every((name) => has(name) || isOther(name) || !others.answers(name)), {
    what: "all hosts to take the configuration up",
    timeout: APPLY_TIMEOUT,
    interval: 100,
    next: "Run the same command again: nothing is done twice.",
  });
  return {
    applied: names.filter((name) => others.answers(name) && !isOther(name)),
    away: names.filter((name) => !others.answers(name)),
    others: names.filter(isOther),
  };
}

/** Waits until each server that answers says that these settings wait: a restart before that would be one for nothing. */
async function untilWaiting(parts: ConfigureParts, settings: readonly string[]): Promise<void> {
  if (!settings.length) return;
  const names = databasesOf(parts.store.document).map(({ name }) => name);
  const waits = (name: string): boolean => {
    const { asked } = parts.asked.of(name);
    return settings.every((setting) => asked.includes(setting));
  };
  await waitUntil(() => names.every((name) => waits(name) || !parts.others.answers(name)), {
    what: `the servers to have read ${settings.join(", ")}`,
    timeout: PENDING_TIMEOUT,
    interval: 100,
    next: "Run the same command again: it restarts what waits for that.",
  });
}

/**
 * Replicas first, the primary last, after another has taken over. A replica does not take a lower value than its primary
 * runs with: what waits still is done the other way round, with the primary where it is; and once more, as one that was
 * restarted before it had replayed what its primary runs with now has kept its value.
 */
async function restartWaiting(host: OneHost, parts: ConfigureParts): Promise<string> {
  const told: string[] = [];
  for (const primary of ["last", "in place", "in place"] as const) {
    const waiting = parts.asked.waiting.filter((name) => parts.others.answers(name));
    if (!waiting.length) break;
    for (const name of waiting)
      host.log("info", `${name} waits for a restart, for ${parts.asked.of(name).asked.join(", ")}`);
    told.push(await parts.restart(waiting, primary));
    await waitUntil(() => waiting.every((name) => parts.asked.of(name).asked.length === 0), {
      what: "nothing to wait for a restart",
      timeout: CLEAR_TIMEOUT,
      interval: 100,
    }).catch(() => {});
  }
  await parts.asked.forgetDone();
  return told.join(" ");
}
