import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { root } from "./root.mjs";
import { SetupError } from "./setup-error.mjs";

/** Milliseconds that one set-up waits for another in the same clone. */
const limit = 15 * 60_000;

/**
 * Runs `work` while no other set-up works in this clone: two `npm ci` at once would ruin node_modules.
 * @param {() => Promise<void>} work
 */
export async function withLock(work) {
  mkdirSync(`${root}dist`, { recursive: true });
  const lock = `${root}dist/setup.lock`;
  const own = `${lock}.${process.pid}`;
  writeFileSync(own, String(process.pid));
  try {
    await acquire(lock, own);
    try {
      await work();
    } finally {
      rmSync(lock, { force: true });
    }
  } finally {
    rmSync(own, { force: true });
  }
}

/**
 * A link appears at once and with its content, so a lock always names its holder.
 * @param {string} lock
 * @param {string} own
 */
async function acquire(lock, own) {
  const end = Date.now() + limit;
  let told = false;
  while (!tryLink(own, lock)) {
    const holder = readHolder(lock);
    if (holder !== undefined && !isAlive(holder)) {
      rmSync(lock, { force: true });
      continue;
    }
    if (Date.now() > end) {
      throw new SetupError(
        `Process ${holder} still holds ${lock}. When it has ended, run the same command again.`,
        75,
      );
    }
    if (!told) console.error(`Waiting for another set-up in this folder (process ${holder}) …`);
    told = true;
    await pause(200);
  }
}

/**
 * @param {string} from
 * @param {string} to
 */
function tryLink(from, to) {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  }
}

/** @param {string} lock */
function readHolder(lock) {
  try {
    return Number(readFileSync(lock, "utf8"));
  } catch {
    return undefined; // Released in this moment.
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}
