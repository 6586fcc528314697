import { run } from "./process.ts";

/** Milliseconds for systemd to say how the machine is. */
const ASK_TIMEOUT = 5000;

/**
 * Whether the machine is being shut down or started anew, where systemd started this process and says so. A unit that is
 * merely stopped or restarted is another matter.
 * Source: systemctl(1), is-system-running; systemd.exec(5), INVOCATION_ID
 */
export async function isMachineStopping(): Promise<boolean> {
  if (process.env["INVOCATION_ID"] === undefined) return false;
  const ran = await run("systemctl", ["is-system-running"], { timeout: ASK_TIMEOUT }).catch(() => undefined);
  return ran?.stdout.trim() === "stopping";
}
