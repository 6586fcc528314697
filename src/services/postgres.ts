import { nextStep, odooPg } from "../next-step.ts";
import { inspectDataDirectory } from "../postgres/data-directory.ts";
import { findPostmaster, reloadServer, startServer, stopServer, type StopMode } from "../postgres/server.ts";
import { decideStart } from "../cluster/start.ts";
import type { Hold } from "../members/hold.ts";
import type { NodeHandle } from "../members/node-handle.ts";
import { startOptions, type Runtime, recordedFor } from "../members/runtime.ts";
import { explainFailedStart } from "./start-fault.ts";
import type { Answer, Found, Service } from "./service.ts";
import { messageOf } from "../errors.ts";
import { guardTablespaces } from "../members/tablespaces.ts";

/** The server of a node of this host. */
export class PostgresService implements Service {
  readonly name: string;
  readonly hold: Hold;
  readonly #runtime: Runtime;
  readonly #handle: NodeHandle;
  /** What the words of a start that failed were found to mean. */
  #explained: { readonly words: string; readonly as: unknown } | undefined;

  constructor(runtime: Runtime, handle: NodeHandle) {
    this.name = handle.node.name;
    this.hold = handle.hold;
    this.#runtime = runtime;
    this.#handle = handle;
  }

  /**
   * Whether a server should run is decided again from its data directory each time: an old primary that comes back is
   * never started as one.
   */
  async find(): Promise<Found> {
    const handle = this.#handle;
    if (handle.waiting) return "waiting";
    if (handle.observation.answer.kind === "facts") return "running";
    return await this.#noting(async () => {
      if (await findPostmaster(handle.files.dataDir)) return "running";
      return (await this.#mayStart()) ? "stopped" : "waiting";
    });
  }

  /** Makes the node wait where a person has to decide before it is started. */
  async #mayStart(): Promise<boolean> {
    const [runtime, handle, node] = [this.#runtime, this.#handle, this.name];
    const data = await inspectDataDirectory(handle.files.dataDir, runtime.installation, runtime.owner);
    const decision = decideStart({
      ...recordedFor(runtime),
      node,
      data,
      othersWithData: data.kind === "whole" ? [] : await this.#othersWithData(),
    });
    if (decision.action === "start") return true;
    if (decision.action === "wait") handle.waitFor(decision.state, decision.reason, decision.next);
    else if (decision.action === "refuse") handle.waitFor("refused", decision.reason, decision.next);
    else
      handle.waitFor(
        "refused",
        `The data directory of ${node} is gone.`,
        nextStep`Mount its disk, if it has one of its own. To recreate what is gone: ${odooPg("up")}`,
      );
    return false;
  }

  /** Names of the other nodes whose data is there: one of them may take the place of a primary whose data is gone. */
  async #othersWithData(): Promise<string[]> {
    const { nodes, installation, owner } = this.#runtime;
    const found: string[] = [];
    for (const other of nodes.values()) {
      if (other === this.#handle) continue;
      const { kind } = await inspectDataDirectory(other.files.dataDir, installation, owner);
      if (kind === "whole") found.push(other.node.name);
    }
    return found;
  }

  async start(signal: AbortSignal): Promise<void> {
    await this.#noting(async () => {
      await guardTablespaces(this.#runtime, this.#handle);
      await startServer({ ...startOptions(this.#runtime, this.#handle), signal });
    }, signal);
    this.#handle.startedWell();
  }

  async reload(): Promise<void> {
    await reloadServer(this.#handle.files.dataDir);
  }

  /** A server is never killed: one that is still shutting down is left alone. @throws OdooPgError timed_out */
  async stop(mode: StopMode, timeout?: number): Promise<readonly number[]> {
    await this.#handle.disconnect();
    await stopServer(this.#handle.files.dataDir, this.name, mode, timeout);
    return [];
  }

  /** Never `silent`: one that does not answer may be recovering, full, or paused, and killing it fixes none of these. */
  async probe(): Promise<Answer> {
    if (this.#handle.observation.answer.kind === "facts") return "answers";
    return (await findPostmaster(this.#handle.files.dataDir)) ? "busy" : "absent";
  }

  /** Records why a start failed, for status. */
  async #noting<T>(act: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (signal?.aborted === true) throw error;
      const explained = await this.#explain(error);
      this.#handle.startFailed(explained);
      throw explained;
    }
  }

  /** Finding out which setting it is takes a few seconds: once for each reason. */
  async #explain(error: unknown): Promise<unknown> {
    const text = messageOf(error);
    // Without the times of the log.
    const words = text.replaceAll(/^\s*\d{4}-\d\d-\d\d \S+ \S+ \[\d+\]/gm, "");
    if (this.#explained?.words !== words)
      this.#explained = { words, as: await explainFailedStart(this.#runtime, this.#handle, error) };
    return this.#explained.as;
  }
}

/** The services of a cluster's nodes: one for each handle, as long as there is one. */
export class Servers {
  readonly #runtime: Runtime;
  readonly #known = new WeakMap<NodeHandle, PostgresService>();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  of(handle: NodeHandle): PostgresService {
    const server = this.#known.get(handle) ?? new PostgresService(this.#runtime, handle);
    this.#known.set(handle, server);
    return server;
  }
}
