import { expect, test } from "vitest";
import * as z from "zod";
import { nodeProcesses } from "../faults/node-processes.ts";
import { throwawayCluster } from "../support/cluster.ts";
import { waitFor } from "../support/wait.ts";

const historySchema = z.object({
  history: z.object({ kind: z.string(), at: z.string(), writes_paused_ms: z.number().nullable() }).array(),
});

test("the pause of writes at a promotion counts from the last answer of the lost primary", async () => {
  const cluster = await throwawayCluster();
  await cluster.up();
  await cluster.healthy();
  await nodeProcesses(cluster, "pg1").lose();
  let lastSeen = Number.NaN;
  await waitFor("the primary to be silent for two seconds", async () => {
    const pg1 = (await cluster.status()).nodes.find(({ name }) => name === "pg1");
    lastSeen = Date.parse(pg1?.last_seen ?? "");
    return pg1?.state !== "running" && Date.now() - lastSeen > 2000;
  });
  const asked = Date.now();
  const ran = await cluster.run(["promote", "pg2", "--allow-data-loss", "--confirm", "test"]);
  expect(ran.exitCode, ran.stderr).toBe(0);
  const { history } = historySchema.parse(await cluster.json(["history"]));
  const promoted = history.at(-1);
  expect(promoted?.kind).toBe("promote");
  // From the last answer until writes lead to the new primary, which is after the command began.
  expect(promoted?.writes_paused_ms).toBeGreaterThanOrEqual(asked - lastSeen);
  expect(promoted?.writes_paused_ms).toBeLessThanOrEqual(Date.parse(promoted?.at ?? "") - lastSeen + 1000);
}, 90_000);
