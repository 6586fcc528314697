import { X509Certificate } from "node:crypto";
import type { CertificateEnds } from "../cluster/certificates.ts";
import { authorityPath, nodeLayoutOf, type Layout, type NodeConfig } from "../config/layout.ts";
import { readTextIfAny } from "../system/files/files.ts";

/** When a certificate (PEM file) ends: milliseconds since the epoch. @throws Error when it is not there, or is none */
export async function endOf(file: string): Promise<number> {
  const text = await readTextIfAny(file);
  if (text === undefined) throw new Error("it does not exist yet");
  return Date.parse(new X509Certificate(text).validTo);
}

/** When the certificates of a cluster end. What cannot be read is left out. */
export async function certificateEndsOf(
  layout: Layout,
  nodes: readonly NodeConfig[],
): Promise<CertificateEnds> {
  const known = async (file: string): Promise<number | undefined> => await endOf(file).catch(() => undefined);
  const [authority, ...ends] = await Promise.all([
    known(authorityPath(layout)),
    ...nodes.map(async (node) => await known(nodeLayoutOf(layout, node).certificateFile)),
  ]);
  return {
    authority,
    nodes: new Map(
      nodes.flatMap(({ name }, index) => {
        const end = ends[index];
        return end === undefined ? [] : [[name, end]];
      }),
    ),
  };
}
