import { expect, test } from "vitest";
import { handleOf } from "../../src/members/runtime.ts";
import { PostgresService } from "../../src/services/postgres.ts";
import { Supervisor } from "../../src/services/supervisor.ts";
import { findPostmaster } from "../../src/postgres/server.ts";
import { throwawayRuntime } from "../members/throwaway-runtime.ts";
import { waitFor } from "../support/wait.ts";
import { throwawayNodes } from "../postgres/throwaway-node.ts";

test("an operation that takes a node ends its start by supervision, at whatever point that is", async () => {
  const [node] = await throwawayNodes(1);
  if (!node) throw new Error("no node");
  await node.initialise();
  const { files } = node;
  const runtime = throwawayRuntime([node]);
  const handle = handleOf(runtime, "pg1");
  const server = new PostgresService(runtime, handle);
  const supervisor = new Supervisor(runtime.log);
  const points: (() => Promise<boolean> | boolean)[] = [
    () => true,
    () => handle.hold.operation === "start",
    async () => (await findPostmaster(files.dataDir)) !== undefined,
  ];
  for (const reached of points) {
    const start = supervisor.check(server);
    await waitFor("the start is that far", reached);
    await handle.hold.take("fenced");
    expect(handle.hold.operation).toBe("fenced");
    await start;
    expect(handle.hold.operation).toBe("fenced");
    await node.stop();
    await supervisor.check(server);
    expect(await findPostmaster(files.dataDir)).toBeUndefined();
    handle.hold.release();
  }
  await supervisor.check(server);
  expect((await findPostmaster(files.dataDir))?.status).toBe("ready");
  expect(handle.hold.operation).toBeUndefined();
});
