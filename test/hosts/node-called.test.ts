import { expect, test } from "vitest";
import { nodeCalled } from "../../src/cli/hosts/several.ts";
import { layoutOf } from "../../src/config/layout.ts";
import { resolvedConfigSchema } from "../../src/config/schema.ts";
import { hostFiles } from "../../src/hosts/documents/files.ts";
import { writeHostRecord } from "../../src/hosts/documents/record.ts";
import { ensureDirectory } from "../../src/system/files/files.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { recordOf } from "./standins.ts";

test("the server of a host is called by the host's name too, whatever its node was called before", async () => {
  const stateDir = temporaryFolder();
  const nodes = [{ name: "pg1", host: "127.0.0.1", port: 5433 }];
  const config = resolvedConfigSchema.parse({ state_dir: stateDir, listen: ["127.0.0.1"], nodes });
  const context = { config, layout: layoutOf(stateDir) };
  expect(await nodeCalled(context, "db1")).toBeUndefined();
  await ensureDirectory(hostFiles(context.layout).dir, { mode: 0o755 });
  await writeHostRecord(
    context.layout,
    recordOf({ name: "db1", role: "database", address: "10.0.0.1" }, { node: "pg1" }),
  );
  expect((await nodeCalled(context, "db1"))?.name).toBe("pg1");
  expect((await nodeCalled(context, "pg1"))?.name).toBe("pg1");
  expect(await nodeCalled(context, "db2")).toBeUndefined();
});
