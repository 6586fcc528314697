import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import type { Owner } from "../files/files.ts";
import { childEnvironment } from "./child.ts";

/**
 * Runs a program that must not outlive this process: a shell beside it waits for the end of its own input, which the
 * system closes when this process is gone, however that ended, and then ends the program with SIGQUIT. Without job control
 * a shell gives what it starts in the background no input, so the input is handed on by name.
 */
const ATTEND = `
exec 3<&0
"$@" 3<&- </dev/null & program=$!
(cat <&3 >/dev/null; kill -QUIT $program 2>/dev/null) & watcher=$!
exec 3<&-
wait $program; status=$?
kill $watcher 2>/dev/null
exit $status`;

/**
 * Runs a program that must not outlive this process, with the input that it is given: the system closes file 3 when this
 * process is gone, and then the program is ended, its helpers with it. What watches it is killed: a shell that has just
 * been forked forgets what it is asked before it has put its parent's traps away, and would hold the file for ever.
 */
const LIFELINE = `
trap 'kill -TERM $program 2>/dev/null' TERM
trap 'left=1' USR1
exec 4<&0
"$@" <&4 3<&- 4<&- & program=$!
exec 4<&-
(
  read -r line <&3
  trap '' TERM
  kill -USR1 $$
  kill -TERM $program
  for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 $program || break; sleep 1; done
  kill -KILL 0
) >/dev/null 2>&1 & watcher=$!
exec 3<&-
wait $program; status=$?
while kill -0 $program 2>/dev/null; do wait $program; status=$?; done
[ "$left" ] && wait $watcher
kill -KILL $watcher 2>/dev/null
exit $status`;

/** What runs a program so that it ends with this process: a group of its own, whose file 3 this process holds open. */
export function onLifeline(program: string, args: readonly string[]): readonly [string, readonly string[]] {
  return ["sh", ["-c", LIFELINE, "sh", program, ...args]];
}

export interface Attended {
  /** Whether it has ended. */
  ended: () => boolean;
  /** Ends it, where it has not ended yet, and waits for that. */
  end: () => Promise<void>;
}

/**
 * Starts a program that ends with this process.
 * @param options.logFile gets what it says; it is this user's, in a directory that no other user changes
 */
export function startAttended(
  program: string,
  args: readonly string[],
  options: { readonly owner: Owner | undefined; readonly logFile: string },
): Attended {
  const log = openSync(options.logFile, "w", 0o600);
  try {
    const child = spawn("sh", ["-c", ATTEND, "sh", program, ...args], {
      // A group of its own: Ctrl-C at a terminal is for us alone.
      detached: true,
      stdio: ["pipe", log, log],
      cwd: "/",
      env: childEnvironment(),
      ...(options.owner ? { uid: options.owner.uid, gid: options.owner.gid } : {}),
    });
    let over = false;
    const gone = new Promise<void>((resolve) => {
      const end = (): void => {
        over = true;
        resolve();
      };
      child.once("exit", end);
      child.once("error", end);
    });
    // What the other side has closed takes nothing; nothing is ever written.
    child.stdin?.on("error", () => {});
    return {
      ended: () => over,
      end: async () => {
        child.stdin?.destroy();
        await gone;
      },
    };
  } finally {
    closeSync(log);
  }
}
