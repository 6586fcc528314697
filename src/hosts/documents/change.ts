import type { Etcd } from "../../consensus/etcd.ts";
import { parseJson } from "../../system/files/json-file.ts";
import { hostsPrefix } from "./places.ts";
import { documentSchema, type ClusterDocument } from "./record.ts";

/** Changes the cluster's document by compare and swap, again where another was faster. @throws EtcdError */
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
    const changed = change(parsed.value);
    if (await etcd.swap(key, stored.revision, JSON.stringify(changed))) return changed;
  }
  throw new Error("the cluster's document is changed by others all the time");
}
