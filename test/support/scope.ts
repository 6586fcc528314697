import { rmSync } from "node:fs";
import { type Process, endProcesses, processesUsing } from "./processes.ts";
import { isFree, listenerOf, releasePort } from "./port-reservation.ts";
import { holdsWithin } from "./wait.ts";

/** Milliseconds that what was told to end may take to do so. */
const grace = 5_000;

/** What was made during one test, or for a whole test file. */
interface Scope {
  readonly cleanups: (() => Promise<void> | void)[];
  readonly folders: string[];
  readonly ports: number[];
}

const scopes: Scope[] = [];

export function openScope(): void {
  scopes.push({ cleanups: [], folders: [], ports: [] });
}

function current(): Scope {
  const scope = scopes.at(-1);
  if (scope === undefined)
    throw new Error("Call this in a test or a hook, not while the test file is loaded.");
  return scope;
}

/** Runs `cleanup` when the present test (or, in beforeAll, the test file) ends; the last one registered first. */
export function atEnd(cleanup: () => Promise<void> | void): void {
  current().cleanups.push(cleanup);
}

/** Registers a folder: at the end nothing may use it, and it is removed. */
export function watchFolder(folder: string): void {
  current().folders.push(folder);
}

/** Registers a port: at the end nothing may listen on it. */
export function watchPort(port: number): void {
  current().ports.push(port);
}

/**
 * Ends the present scope: cleans up, then looks for what is left, ends it and removes it, so that the next test
 * is not hurt.
 * @param folders more folders that end with this scope
 * @param look finds more that is left behind, while the folders still exist
 * @returns what was left behind, one line each; empty when all is well
 */
export async function closeScope(
  folders: readonly string[],
  look: () => readonly string[] = () => [],
): Promise<readonly string[]> {
  const scope = current();
  const leaks: string[] = [];
  try {
    for (const cleanup of scope.cleanups.toReversed()) {
      try {
        await cleanup();
      } catch (error) {
        leaks.push(error instanceof Error ? error.message : String(error));
      }
    }
    const watched = [...scope.folders, ...folders];
    leaks.push(...look(), ...(await leakedProcesses(watched)), ...(await leakedPorts(scope.ports)));
    for (const folder of watched) rmSync(folder, { recursive: true, force: true });
  } finally {
    scopes.pop();
  }
  return leaks;
}

async function leakedProcesses(folders: readonly string[]): Promise<readonly string[]> {
  if (folders.length === 0) return [];
  const find = (): readonly Process[] => processesUsing(...folders);
  if (await holdsWithin(grace, () => find().length === 0)) return [];
  return (await endProcesses(find)).map(({ pid, command }) => `process ${pid}: ${command}`);
}

async function leakedPorts(ports: readonly number[]): Promise<readonly string[]> {
  const leaks: string[] = [];
  for (const port of ports) {
    // A port that stays taken stays reserved too: it is of no use to another test.
    if (await holdsWithin(grace, () => isFree(port))) releasePort(port);
    else leaks.push(`port ${port}: ${listenerOf(port)}`);
  }
  return leaks;
}
