import * as z from "zod";
import type { Etcd } from "../../consensus/etcd.ts";
import { OdooPgError } from "../../errors.ts";
import { parseJson } from "../../system/files/json-file.ts";
import { onlyChanges } from "../decisions/settings/only-changes.ts";
import { hostsPrefix } from "./places.ts";
import { documentSchema, type ClusterDocument } from "./record.ts";

/**
 * Changes the cluster's document by compare and swap, again where another host was faster. A document that no host could
 * read is not written.
 * @throws EtcdError, OdooPgError refused where there is none that can be read
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
    if (!stored || !parsed.ok) throw unreadable(stored && !parsed.ok ? parsed.problem : undefined);
    const text = changedText(stored.value, parsed.value, change(parsed.value));
    const changed = parseJson(text, documentSchema);
    if (!changed.ok)
      throw new Error(`the cluster's document would be one that cannot be read: ${changed.problem}`);
    if (await etcd.swap(key, stored.revision, text)) return changed.value;
  }
  throw new Error("the cluster's document is changed by others all the time");
}

/** @param problem why it cannot be read; undefined: there is none */
function unreadable(problem: string | undefined): OdooPgError {
  return new OdooPgError("refused", {
    message:
      problem === undefined
        ? "The store holds no document of the cluster."
        : `The cluster's document in the store cannot be read: ${problem}.`,
    safe: "Nothing was changed; every host goes on by the last one that it could read.",
    next: 'Where a later odoo-pg has written it, install that one here too. Else put the last one back: see "The store" in docs/high-availability.md.',
  });
}

/**
 * The document to store after a change. Hosts are upgraded one by one: none removes what another version has written.
 * @param stored the document's text as it stands in the store
 * @param before as this version reads it
 */
export function changedText(stored: string, before: ClusterDocument, after: ClusterDocument): string {
  const whole = parseJson(stored, z.unknown());
  return JSON.stringify(whole.ok ? onlyChanges(whole.value, before, after) : after);
}
