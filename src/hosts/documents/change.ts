import * as z from "zod";
import type { Etcd } from "../../consensus/etcd.ts";
import { parseJson } from "../../system/files/json-file.ts";
import { onlyChanges } from "../decisions/only-changes.ts";
import { hostsPrefix } from "./places.ts";
import { documentSchema, type ClusterDocument } from "./record.ts";

/**
 * Changes the cluster's document by compare and swap, again where another was faster. One that no host could read is not
 * written.
 * @throws EtcdError
 */
export async function changeDocument(
  etcd: Etcd,
  cluster: string,
  change: (document: ClusterDocument) => ClusterDocument,
): Promise<ClusterDocument> {
  const key = `${hostsPrefix(cluster)}document`;
  for (let tries = 0; tries < 10; tries += 1) {
    const stored = await etcd.get(key);
    const parsed = parseJson(stored?.value ?? "", documentSchema);
    if (!stored || !parsed.ok) throw new Error("the store holds no document of the cluster");
    const text = changedText(stored.value, parsed.value, change(parsed.value));
    const changed = parseJson(text, documentSchema);
    if (!changed.ok)
      throw new Error(`the cluster's document would be one that cannot be read: ${changed.problem}`);
    if (await etcd.swap(key, stored.revision, text)) return changed.value;
  }
  throw new Error("the cluster's document is changed by others all the time");
}

/**
 * What is to be stored after a change: hosts are upgraded one by one, and none takes out what another version has written.
 * @param stored the document's text as it stands in the store
 * @param before as this version reads it
 */
export function changedText(stored: string, before: ClusterDocument, after: ClusterDocument): string {
  const whole = parseJson(stored, z.unknown());
  return JSON.stringify(whole.ok ? onlyChanges(whole.value, before, after) : after);
}
