import type { Hold } from "../members/hold.ts";
import type { StopMode } from "../postgres/server.ts";

/** `waiting`: it does not run, and is not started until a person has decided. */
export type Found = "running" | "stopped" | "waiting";

/** `busy`: its process is there and may answer later, such as a server that recovers. `silent`: it hangs, if that lasts. */
export type Answer = "answers" | "busy" | "silent" | "absent";

/** A program that the agent keeps running and that outlives it: a node's server, HAProxy. */
export interface Service {
  /** As it is reported and logged. */
  readonly name: string;
  readonly hold: Hold;
  /**
   * Whether it runs, also when another agent started it: by what the process left behind, never by a program's name.
   * Called twice a second, so it costs little while the service runs.
   */
  find(): Promise<Found>;
  /** Starts it and returns when it answers. At `signal` what was begun is ended. */
  start(signal: AbortSignal): Promise<void>;
  /** Makes it load its configuration without cutting sessions. */
  reload(): Promise<void>;
  /**
   * Ends it with its sessions: `fast` cleanly, `immediate` even where it hangs.
   * @returns the processes that had to be killed
   */
  stop(mode: StopMode): Promise<readonly number[]>;
  probe(): Promise<Answer>;
}
