import { spawn } from "node:child_process";
import { SetupError } from "./setup-error.mjs";

/**
 * Runs one step of the set-up: says so in one line, keeps the program's output back, shows its end on failure.
 * Ctrl-C goes to the program too; this waits for it, so that nothing runs on behind the user's back.
 * @param {string} title what is done, for the user
 * @param {readonly string[]} command program and arguments
 * @param {{ cwd?: string, next?: string }} [options] next: what to do when it fails
 */
export async function runPhase(title, command, options = {}) {
  console.error(title);
  const [program = "", ...args] = command;
  const child = spawn(program, args, { cwd: options.cwd, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const keep = (/** @type {Buffer} */ chunk) => {
    output += chunk;
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);

  let interrupted = false;
  const interrupt = (/** @type {NodeJS.Signals} */ signal) => {
    interrupted = true;
    child.kill(signal);
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  const status = await new Promise((resolve) => {
    child.on("error", (error) => {
      output += error.message;
      resolve(1);
    });
    child.on("close", resolve);
  });
  process.off("SIGINT", interrupt);
  process.off("SIGTERM", interrupt);

  if (interrupted) throw new SetupError("Interrupted. Run the same command again to go on.", 130);
  if (status !== 0) {
    const words = output.trim().split("\n").slice(-15).join("\n  ");
    const next = options.next === undefined ? "" : `\n${options.next}`;
    throw new SetupError(`Failed: ${command.join(" ")}\n  ${words}${next}`, 1);
  }
}
