import * as z from "zod";
import type { Waiting, WaitingClients } from "../model/waiting.ts";
import { nodeOf, WAITING_LINE, type ServerState } from "./servers.ts";

/** HAProxy's processes: the master, which takes orders, and workers, which carry sessions. */
export interface Processes {
  readonly master: number;
  /** The worker that takes new sessions. */
  readonly current: number;
  /** Reloads since that worker was started; more than 0 when the last one failed. */
  readonly reloads: number;
  /** Workers from before a reload, which live until their last session ends. */
  readonly old: readonly number[];
}

/**
 * Reads `show proc` of the master. The worker with the fewest reloads behind it takes the new sessions: when a reload
 * failed, that is one which the master lists among the old.
 * Source: HAProxy management guide, "Master CLI"; 2.4 has a column more than later versions.
 * @returns undefined when no worker is listed
 */
export function parseProcesses(text: string): Processes | undefined {
  const rows = text.split("\n").flatMap((line) => {
    const match = /^(\d+)\s+(master|worker)\s+(?:.*\s)?(\d+)(?:\s+\[failed: \d+\])?\s+\d+d\d+h\d+m\d+s/.exec(
      line,
    );
    return match ? [{ pid: Number(match[1]), type: match[2], reloads: Number(match[3]) }] : [];
  });
  const master = rows.find((row) => row.type === "master");
  const [current, ...old] = rows
    .filter((row) => row.type === "worker")
    .sort((a, b) => a.reloads - b.reloads || b.pid - a.pid);
  return master && current
    ? {
        master: master.pid,
        current: current.pid,
        reloads: current.reloads,
        old: old.map(({ pid }) => pid),
      }
    : undefined;
}

const statRow = z.object({
  pxname: z.enum(["read", "write"]),
  svname: z.string().min(1),
  scur: z.coerce.number().int().nonnegative(),
  status: z.string().min(1),
  addr: z.string(),
});

const BACKENDS: readonly string[] = statRow.shape.pxname.options;

const COLUMNS = [...Object.keys(statRow.shape), "type"];

/** Source: HAProxy management guide, 9.1 "CSV format": type 2 is a server. */
const SERVER_TYPE = "2";

/**
 * Reads the servers of `show stat`. `sessions` counts this one worker.
 * @throws Error when it is not what HAProxy prints
 */
export function parseServers(text: string): ServerState[] {
  const [header = "", ...lines] = text.split("\n").filter((line) => line !== "");
  const names = header.replace(/^# /, "").split(",");
  // Of some ninety columns: this is read again and again.
  const columns = COLUMNS.map((name) => [name, names.indexOf(name)] as const);
  return lines
    .map((line) => {
      const fields = line.includes('"') ? splitCsv(line) : line.split(",");
      return Object.fromEntries(columns.map(([name, index]) => [name, fields[index] ?? ""]));
    })
    .filter(
      (row) =>
        row["type"] === SERVER_TYPE &&
        BACKENDS.includes(row["pxname"] ?? "") &&
        row["svname"] !== WAITING_LINE,
    )
    .map((row) => {
      const { pxname, svname, scur, status, addr } = statRow.parse(row);
      const ref = { backend: pxname, server: svname };
      return {
        ...ref,
        node: nodeOf(ref),
        admin: status.startsWith("MAINT") ? "maint" : status.startsWith("DRAIN") ? "drain" : "ready",
        // "no check" is a server without health check that is ready.
        up: status.startsWith("UP") || status === "no check",
        sessions: scur,
        address: addr,
      };
    });
}

function splitCsv(line: string): string[] {
  return [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].map(([, field = ""]) =>
    field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field,
  );
}

/** One session of a worker, as `show sess` lists it. */
export interface Session {
  /** The id by which HAProxy can end it. */
  readonly id: string;
  readonly frontend: string;
  readonly backend: string;
  readonly server: string;
  /** Whether it has reached its server. Until then it may still be sent to another one. */
  readonly settled: boolean;
}

/** Source: include/haproxy/stconn-t.h (2.6), stream_interface-t.h (2.4): SC_ST_EST, SI_ST_EST. */
const ESTABLISHED = 8;

/** Reads `show sess`. */
export function parseSessions(text: string): Session[] {
  return text.split("\n").flatMap((line) => {
    const match = /^(0x[0-9a-f]+): .*?\bfe=(\S+) be=(\S+) srv=(\S+) /.exec(line);
    if (!match) return [];
    const [, id = "", frontend = "", backend = "", server = ""] = match;
    // The server's side: "s1" in 2.4, "scb" from 2.6 on. Where this is unknown, the session counts as not settled.
    const side = /\b(?:s1|csb|scb)=\[(\d+),/.exec(line)?.[1];
    return [{ id, frontend, backend, server, settled: side !== undefined && Number(side) >= ESTABLISHED }];
  });
}

/**
 * Reads what the gate reports about the servers' answers; a gate of an earlier version reports nothing.
 * @returns milliseconds of the slowest of all; 0 where there was none
 */
export function parseSlowestAnswer(text: string): number {
  return Math.max(0, ...[...text.matchAll(/^[^,\n]+,(\d+)$/gm)].map(([, ms]) => Number(ms)));
}

const waitingRow = z.tuple([z.enum(["read", "write"]), z.coerce.number().int(), z.coerce.number().int()]);

/** Reads what the gate reports about waiting clients. @throws Error when it is something else */
export function parseWaiting(text: string): WaitingClients {
  const rows = text
    .split("\n")
    .filter((line) => line.includes(","))
    .map((line) => waitingRow.parse(line.split(",")));
  const of = (endpoint: "read" | "write"): Waiting => {
    const [, clients = 0, milliseconds = 0] = rows.find(([name]) => name === endpoint) ?? [];
    return { clients, longest_seconds: milliseconds / 1000 };
  };
  return { read: of("read"), write: of("write") };
}
