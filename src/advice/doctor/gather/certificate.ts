import { X509Certificate } from "node:crypto";
import { readTextIfAny } from "../../../system/files/files.ts";

/** When the first of these certificates (PEM files) ends: milliseconds since the epoch. @throws Error when one is not there. */
export async function firstEnd(files: readonly string[]): Promise<number> {
  const ends = await Promise.all(
    files.map(async (file) => {
      const text = await readTextIfAny(file);
      if (text === undefined) throw new Error("it does not exist yet");
      return Date.parse(new X509Certificate(text).validTo);
    }),
  );
  return Math.min(...ends);
}
