import { waitUntil } from "../system/clock.ts";
import type { Session } from "../system/sql/sql.ts";
import { configurationLoadedAt } from "./sql/operations.ts";
import { reloadServer } from "./server.ts";

/** Milliseconds for a server to read its configuration again. */
const RELOAD_TIMEOUT = 20_000;

/** Has a server read its configuration again and waits until this session has seen it. @throws OdooPgError timed_out */
export async function reloadAndWait(session: Session, dataDir: string, node: string): Promise<void> {
  const loaded = await configurationLoadedAt(session);
  await reloadServer(dataDir);
  await waitUntil(async () => (await configurationLoadedAt(session)) !== loaded, {
    what: `${node} to read its configuration again`,
    timeout: RELOAD_TIMEOUT,
    interval: 5,
  });
}
