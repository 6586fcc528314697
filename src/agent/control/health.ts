import path from "node:path";
import type { Layout } from "../../config/layout.ts";
import { serveTexts, type PlainAnswer } from "../../system/network/http.ts";

/**
 * Answers HAProxy's checks, its dead-man's switch: it runs as the servers' user, so this is not where orders are taken.
 * The socket stays where it is: another place would be another configuration, and a reload for nothing.
 * @returns what closes it
 */
export async function serveHealth(
  layout: Layout,
  isPooled: (node: string) => boolean,
): Promise<() => Promise<void>> {
  return await serveTexts(path.join(layout.runDir, "health.sock"), healthAnswers(isPooled));
}

/** 200 while the named replica is in the pool. */
function healthAnswers(isPooled: (node: string) => boolean): (target: string) => PlainAnswer {
  return (target) => {
    const node = /^\/pool\/([^/?]+)$/.exec(target)?.[1];
    if (node === undefined) return { status: 404, text: "no such node\n" };
    return isPooled(node)
      ? { status: 200, text: "in the pool\n" }
      : { status: 503, text: "not in the pool\n" };
  };
}
