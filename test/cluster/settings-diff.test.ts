import { expect, test } from "vitest";
import { changedSettings } from "../../src/cluster/settings-diff.ts";

test("settings are compared by name and value, not by their place or their comments", () => {
  const before = "# first\nport = 5433\nwork_mem = '16MB'  # why\nshared_buffers = '1GB'\n";
  const after = "work_mem = '32MB'\nport = 5433\nmax_connections = 300\n";
  expect(changedSettings(before, after)).toEqual([
    { name: "max_connections", before: undefined, after: "300" },
    { name: "shared_buffers", before: "1GB", after: undefined },
    { name: "work_mem", before: "16MB", after: "32MB" },
  ]);
});

test("the same text changes nothing", () => {
  const text = "log_line_prefix = '%m [%p] it''s '\n";
  expect(changedSettings(text, text)).toEqual([]);
});
