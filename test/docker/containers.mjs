// Containers and volumes of one run: all names begin alike, and all go at its end.
import { randomBytes } from "node:crypto";
import { docker, run, until } from "./engine.mjs";

export class Containers {
  prefix = `odoo-pg-test-${randomBytes(3).toString("hex")}`;
  #containers = new Set();
  #volumes = new Set();
  #networks = new Set();

  constructor(image) {
    this.image = image;
  }

  async volume(name) {
    const volume = `${this.prefix}-${name}`;
    this.#volumes.add(volume);
    await docker("volume", "create", volume);
    return volume;
  }

  async network() {
    const network = `${this.prefix}-net`;
    if (!this.#networks.has(network)) await docker("network", "create", network);
    this.#networks.add(network);
    return network;
  }

  /** Starts a container in the background; gives its name. */
  async start(name, options, command = []) {
    const container = `${this.prefix}-${name}`;
    this.#containers.add(container);
    // Of a first try that failed.
    await run("docker", ["rm", "-f", "-v", container]);
    await docker("run", "-d", "--name", container, ...options, this.image, ...command);
    return container;
  }

  /** Runs one to its end: its status, and all that it said. */
  async once(options, command = []) {
    const { status, stdout, stderr } = await run("docker", [
      "run",
      "--rm",
      ...options,
      this.image,
      ...command,
    ]);
    return { status, text: stdout + stderr };
  }

  async remove(container) {
    this.#containers.delete(container);
    await docker("rm", "-f", "-v", container);
  }

  async clear() {
    for (const container of this.#containers) await run("docker", ["rm", "-f", "-v", container]);
    for (const volume of this.#volumes) await run("docker", ["volume", "rm", "-f", volume]);
    for (const network of this.#networks) await run("docker", ["network", "rm", network]);
  }
}

/** Waits until an engine calls a container healthy; one that ended is an error with its last words. */
export async function healthy(container, limit = 120_000) {
  await until(
    `${container} to be healthy`,
    async () => {
      const state = await docker("inspect", "-f", "{{.State.Status}} {{.State.Health.Status}}", container);
      if (state.startsWith("exited")) return true;
      return state === "running healthy";
    },
    limit,
  );
  const state = await docker("inspect", "-f", "{{.State.Status}}", container);
  if (state !== "running") throw new Error(`${container} ended:\n${await logsOf(container)}`);
}

export async function logsOf(container) {
  const { stdout, stderr } = await run("docker", ["logs", container]);
  return stdout + stderr;
}

/** psql in a container, as superuser unless `options` say otherwise: what it prints, unadorned. */
export async function psql(container, statement, options = []) {
  return await docker("exec", container, "psql", "-XAtq", ...options, "-c", statement);
}

export function equal(actual, expected, what) {
  if (JSON.stringify(actual) === JSON.stringify(expected)) return;
  throw new Error(`${what}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
}

export function holds(text, pattern, what) {
  if (!pattern.test(text)) throw new Error(`${what}: ${pattern} is not in:\n${text.slice(-2000)}`);
}

export function lacks(text, secret, what) {
  if (text.includes(secret)) throw new Error(`${what} holds a password`);
}
