import path from "node:path";
import type { Layout } from "../config/layout.ts";

/**
 * HAProxy's files. It runs in the state directory and gets paths relative to it, so no path needs
 * quoting in its configuration, and Unix sockets stay below the system's limit of 107 bytes.
 */
export const RELATIVE = {
  run: "run",
  config: "haproxy/haproxy.cfg",
  candidate: "haproxy/haproxy.cfg.new",
  masterSocket: "run/haproxy.sock",
  healthSocket: "run/health.sock",
} as const;

export interface HaproxyFiles {
  readonly config: string;
  /** A configuration that has only been checked so far. */
  readonly candidate: string;
  readonly log: string;
  /** The process that was started. */
  readonly process: string;
  /** HAProxy takes orders here. */
  readonly masterSocket: string;
  /** The agent answers HAProxy's health checks here: GET /pool/NODE. */
  readonly healthSocket: string;
}

export function haproxyFiles(layout: Pick<Layout, "stateDir">): HaproxyFiles {
  const at = (relative: string): string => path.join(layout.stateDir, relative);
  return {
    config: at(RELATIVE.config),
    candidate: at(RELATIVE.candidate),
    log: at("haproxy/haproxy.log"),
    process: at("haproxy/process.json"),
    masterSocket: at(RELATIVE.masterSocket),
    healthSocket: at(RELATIVE.healthSocket),
  };
}
