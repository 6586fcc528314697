import * as fs from "node:fs/promises";
import { within } from "../clock.ts";

/** What was asked of disks and is not answered yet: it is not asked again, as each question holds a thread. */
const asked = new Map<string, Promise<void>>();

/**
 * Whether the disk of a folder answers within a time, so that nothing waits for one that hangs, such as one of the network
 * whose server is gone. What is wrong with it otherwise, whoever uses it finds.
 * @param timeout milliseconds
 */
export async function diskAnswers(folder: string, use: "read" | "write", timeout: number): Promise<boolean> {
  const key = `${use} ${folder}`;
  const question = asked.get(key) ?? ask(folder, use).finally(() => asked.delete(key));
  asked.set(key, question);
  return await within(timeout, folder, question).then(
    () => true,
    () => false,
  );
}

async function ask(folder: string, use: "read" | "write"): Promise<void> {
  try {
    if (use === "read") await fs.readdir(folder);
    // A disk may still read and not write any more. A link in its place is not followed.
    else await fs.lutimes(folder, new Date(), new Date());
  } catch {
    // It answers.
  }
}
