import type { Silence } from "../model/silence.ts";
import { silenceOf } from "../postgres/sql/observing/silence.ts";
import { readState } from "../store/state.ts";
import { type Layout, type NodeConfig } from "../config/layout.ts";
import type { NodeObservation } from "../model/observation.ts";
import { databaseBytes, databaseNames, observeServer } from "../postgres/sql/observing/facts.ts";
import { Superuser } from "../postgres/sql/access/superuser.ts";
import { now, within } from "../system/clock.ts";

/** Milliseconds for an observation, for each answer in it, and for the size of the databases. */
const OBSERVE_TIMEOUT = 1500;
const ANSWER_TIMEOUT = 1000;
const SIZE_TIMEOUT = 400;

export interface SizedObservation {
  readonly observation: NodeObservation;
  /** Bytes of all databases; undefined where nobody asked, or where it takes too long. */
  readonly size: number | undefined;
  /** The databases that hold somebody's data; undefined where nobody asked. */
  readonly databases: readonly string[] | undefined;
}

/** Observes a server once, by a session of its own. Never throws: silence is an observation too. */
export async function observeNode(
  layout: Layout,
  node: NodeConfig,
  askSize: boolean,
): Promise<SizedObservation> {
  const silent = (silence: Silence): SizedObservation => ({
    observation: {
      name: node.name,
      at: now(),
      answer: { kind: "none", silence },
      lastSeen: undefined,
    },
    size: undefined,
    databases: undefined,
  });
  if ((await readState(layout)) === undefined) return silent({ kind: "never_started" });
  const observe = async (): Promise<SizedObservation> => {
    const session = await Superuser.of(layout, node).session({
      applicationName: "odoo-pg status",
      connectTimeout: ANSWER_TIMEOUT,
      statementTimeout: ANSWER_TIMEOUT,
      settings: { jit: "off", statement_timeout: String(ANSWER_TIMEOUT) },
    });
    try {
      const facts = await observeServer(session);
      const at = now();
      const size = askSize
        ? await within(SIZE_TIMEOUT, node.name, databaseBytes(session)).catch(() => undefined)
        : undefined;
      const databases = askSize ? await databaseNames(session).catch(() => undefined) : undefined;
      return {
        observation: { name: node.name, at, answer: { kind: "facts", depth: "full", facts }, lastSeen: at },
        size,
        databases,
      };
    } finally {
      // The process ends soon: it does not wait for a clean end, which a hung server would not give.
      void session.close();
    }
  };
  try {
    return await within(OBSERVE_TIMEOUT, node.name, observe());
  } catch (error) {
    return silent(silenceOf(error, ANSWER_TIMEOUT));
  }
}
