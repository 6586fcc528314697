import { createHmac, timingSafeEqual } from "node:crypto";
import path from "node:path";
import type { Layout } from "../config/layout.ts";
import { passwordFile } from "../store/secrets.ts";
import { readTextIfAny } from "../system/files/files.ts";
import { SEAL_FILE, SUMS_FILE } from "./manifest.ts";

/** Purpose of the key: the same secret is never used for two things. */
const PURPOSE = "odoo-pg: seal of backups";

/**
 * The seal of a backup's checksums, which covers all of its files except those that change later. Its key is derived
 * from the superuser's password, which only root has, and which a copy elsewhere holds: so a backup that was moved, or
 * fetched again, still proves its origin. Undefined where there is no such password.
 */
export async function sealOf(layout: Layout, sums: string): Promise<string | undefined> {
  const password = (await readTextIfAny(passwordFile(layout, "postgres")))?.trim();
  if (password === undefined || password === "") return undefined;
  const key = createHmac("sha256", password).update(PURPOSE).digest();
  return `hmac-sha256 ${createHmac("sha256", key).update(sums).digest("hex")}\n`;
}

/** Whether this cluster wrote the checksums of a backup. Whether its files match them is not checked. */
export async function isSealed(layout: Layout, folder: string): Promise<boolean> {
  const found = await readTextIfAny(path.join(folder, SEAL_FILE));
  const sums = await readTextIfAny(path.join(folder, SUMS_FILE));
  if (found === undefined || sums === undefined) return false;
  const wanted = await sealOf(layout, sums);
  if (wanted === undefined) return false;
  const [one, other] = [Buffer.from(found), Buffer.from(wanted)];
  return one.length === other.length && timingSafeEqual(one, other);
}
