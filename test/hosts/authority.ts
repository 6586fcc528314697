import { layoutOf, type Layout } from "../../src/config/layout.ts";
import { hostFiles, type HostFiles } from "../../src/hosts/documents/files.ts";
import type { Host } from "../../src/hosts/documents/record.ts";
import {
  ensureHostAuthorities,
  newRequest,
  readIdentity,
  signRequest,
} from "../../src/hosts/joining/authority.ts";
import { ensureDirectory, writeFileAtomic } from "../../src/system/files/files.ts";
import type { TlsIdentity } from "../../src/system/network/mutual-tls.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** The folder of a host that has made the authority of hosts. */
export async function withAuthority(): Promise<{ readonly layout: Layout; readonly files: HostFiles }> {
  const layout = layoutOf(`${temporaryFolder()}/s`);
  const files = hostFiles(layout);
  await ensureDirectory(files.dir, { mode: 0o755 });
  await ensureHostAuthorities(files, "odoo");
  return { layout, files };
}

/** The same, with a certificate of the authority in it. */
export async function withCertificate(
  host: Pick<Host, "name" | "role" | "address" | "id">,
): Promise<{ readonly layout: Layout; readonly files: HostFiles; readonly identity: TlsIdentity }> {
  const { layout, files } = await withAuthority();
  const request = await newRequest(files, host.name, undefined);
  await writeFileAtomic(files.certificate, await signRequest(files, request, host));
  const identity = await readIdentity(files);
  if (!identity) throw new Error("no identity");
  return { layout, files, identity };
}
