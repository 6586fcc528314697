import { expect, test } from "vitest";
import { layoutOf } from "../../src/config/layout.ts";
import { resolveConfig } from "../../src/config/resolve.ts";
import { keptSettings } from "../../src/store/kept-settings.ts";
import type { ClusterState } from "../../src/store/state.ts";
import { readMachine } from "../../src/system/machine.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const GB = 1024 ** 3;
const machine = { ...readMachine(), memoryBytes: 12 * GB };

function place(nodes: number) {
  const text = JSON.stringify({
    state_dir: `${temporaryFolder()}/s`,
    nodes: Array.from({ length: nodes }, (_, index) => ({ name: `pg${index + 1}`, port: 6000 + index })),
  });
  const { config } = resolveConfig({
    file: { path: "test.yaml", text },
    env: {},
    defaults: { isRoot: false, home: "/nowhere", platform: "linux" },
  });
  return { config, layout: layoutOf(config.state_dir), machine };
}

const made: ClusterState = {
  format: 1,
  cluster: "test",
  system_identifier: "1",
  primary: "pg1",
  history: [],
  removed: [],
};

test("a cluster keeps what was chosen when it was made, whatever nodes it has by now", async () => {
  const settings = { shared_buffers: "77MB" };
  for (const nodes of [1, 2, 7])
    expect(await keptSettings(place(nodes), { ...made, settings }, 15)).toEqual(settings);
});

test("one whose machine has shrunk is chosen for anew, so that its servers start", async () => {
  const settings = { shared_buffers: "8GB" };
  const kept = await keptSettings(place(2), { ...made, settings }, 15);
  expect(kept["shared_buffers"]).not.toBe("8GB");
  expect(kept["max_connections"]).toBeDefined();
});

test("one of 0.1, which kept no record, keeps what 0.1 chose", async () => {
  expect(await keptSettings(place(2), made, 15)).toMatchObject({
    max_connections: "300",
    shared_buffers: "1536MB",
    effective_cache_size: "6144MB",
    work_mem: "16MB",
    max_wal_size: "2GB",
  });
});

test("one that is not made yet is chosen for, as often as it is tried, by the machine and its nodes", async () => {
  const chosen = async (nodes: number, state?: ClusterState) => {
    const kept = await keptSettings(place(nodes), state, 15);
    return Number.parseInt(kept["effective_cache_size"] ?? "", 10);
  };
  const stale = { ...made, system_identifier: null, settings: { effective_cache_size: "1MB" } };
  expect(await chosen(3, stale)).toBe(await chosen(3));
  expect((await keptSettings(place(2), undefined, 15))["wal_level"]).toBe("replica");
});
