import { Client } from "pg";
import type { ThrowawayCluster } from "../support/cluster.ts";
import { atEnd } from "../support/scope.ts";

/** At most so many visits at once: on slow processors more of them would wait for each other, not for the endpoint. */
const AT_ONCE = 4;

/**
 * Clients of the read endpoint, a new one every 25 ms, as far as earlier ones have left: each connects, asks who answers, and leaves. A connection that
 * cannot be made, or is cut before it has its answer, is an error.
 */
export function visitors(cluster: ThrowawayCluster) {
  const answers: { readonly at: number; readonly node: string }[] = [];
  const errors: unknown[] = [];
  const under = new Set<Promise<void>>();
  const visit = async (): Promise<void> => {
    const client = new Client({
      host: "127.0.0.1",
      port: cluster.ports.read,
      user: "odoo",
      password: cluster.password("odoo"),
      database: "postgres",
    });
    client.on("error", () => {});
    try {
      await client.connect();
      const { rows } = await client.query<{ cluster_name: string }>("SHOW cluster_name");
      answers.push({ at: performance.now(), node: rows[0]?.cluster_name ?? "" });
    } catch (error) {
      errors.push(error);
    }
    await client.end().catch(() => {});
  };
  const timer = setInterval(() => {
    if (under.size >= AT_ONCE) return;
    const one = visit().finally(() => under.delete(one));
    under.add(one);
  }, 25);
  const stop = async () => {
    clearInterval(timer);
    await Promise.all(under);
    return { answers, errors };
  };
  atEnd(async () => void (await stop()));
  return { answers, errors, stop };
}
