import type { Config } from "../config/schema.ts";
import { monotonic, now, within } from "../system/clock.ts";
import { permissionsOf } from "../system/files/files.ts";
import { channelsOf, DELIVERY_TIMEOUT, secretFilesOf, wordsOf, type ChannelName } from "./channels.ts";
import type { AlarmMessage } from "./message.ts";

/** How a channel took a message that says that it is a test. */
export interface Tried {
  readonly channel: ChannelName;
  readonly ok: boolean;
  readonly seconds: number;
  readonly error: string | null;
  /** What was not quite right. */
  readonly remark: string | null;
}

/** Milliseconds beyond the timeout of a channel that keeps to it by itself. */
const GRACE = 1000;

/** Sends a test through every channel of a configuration, all at the same time. */
export async function tryChannels(config: Config, host: string): Promise<Tried[]> {
  const at = new Date(now()).toISOString();
  const message: AlarmMessage = {
    version: 1,
    id: [config.cluster, "test", at].join(":"),
    event: "test",
    cluster: config.cluster,
    host,
    rule: "test",
    severity: "warning",
    subject: null,
    text: "This is a test of the alarms. Nothing is wrong.",
    next: null,
    next_step: null,
    more: "odoo-pg status --full",
    at,
    since: at,
    on: { critical: 0, warning: 0 },
  };
  return await Promise.all(
    channelsOf(config).map(async ({ name, deliver }): Promise<Tried> => {
      const start = monotonic();
      const seconds = (): number => Math.round((monotonic() - start) / 100) / 10;
      try {
        const remark = await within(DELIVERY_TIMEOUT + GRACE, name, deliver(message));
        return { channel: name, ok: true, seconds: seconds(), error: null, remark: remark ?? null };
      } catch (error) {
        return { channel: name, ok: false, seconds: seconds(), error: wordsOf(error), remark: null };
      }
    }),
  );
}

/** Files with secrets of the channels that not only their owner may read. */
export async function openSecretFiles(config: Config): Promise<string[]> {
  const files = secretFilesOf(config);
  const open = await Promise.all(
    files.map(async (file) => (((await permissionsOf(file))?.mode ?? 0) & 0o044 ? [file] : [])),
  );
  return open.flat();
}
