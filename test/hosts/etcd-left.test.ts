import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { layoutOf } from "../../src/config/layout.ts";
import { hostFiles } from "../../src/hosts/documents/files.ts";
import { EtcdService } from "../../src/hosts/programs/etcd-service.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { recordOf } from "./standins.ts";

test("a member whose end was cut off leaves nothing that the next one of this host would start on", async () => {
  const files = hostFiles(layoutOf(`${temporaryFolder()}/s`));
  mkdirSync(files.etcdDir, { recursive: true });
  writeFileSync(`${files.etcdDir}/member`, "of a member that was removed for good");
  const service = new EtcdService({
    files,
    record: recordOf({ name: "h1", role: "database", address: "10.0.0.1" }),
    program: { path: "/bin/false", version: "3.5.0" },
    identity: { certificate: "", key: "", authority: "" },
    owner: undefined,
  });
  expect(await service.isLeft()).toBe(true);
  const start = { state: "existing", members: { h1: "https://10.0.0.1:2380" } } as const;
  await service.become(start);
  expect(await service.isLeft()).toBe(false);
  expect(readdirSync(files.dir).filter((name) => name.startsWith("etcd"))).toEqual([
    "etcd.json",
    expect.stringMatching(/^etcd\.removed-\d+$/),
  ]);
  // What a member has begun stays.
  mkdirSync(files.etcdDir);
  await service.become({ ...start, members: { ...start.members, h2: "https://10.0.0.2:2380" } });
  expect(readdirSync(files.dir)).toContain("etcd");
});
