import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { requireEtcdModule } from "../../src/hosts/programs/programs.ts";
import { installOn } from "../../src/system/install.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** A Patroni that knows these stores, and ends as the real one does without a configuration for any. */
function patroniFor(stores: string): string {
  const file = join(temporaryFolder(), "patroni");
  const words = `patroni.exceptions.PatroniFatalException: Can not find\nAvailable implementations: ${stores}`;
  writeFileSync(file, `#!/bin/sh\ncat "$1" > /dev/null || exit 3\necho "${words}" >&2\nexit 1\n`, {
    mode: 0o755,
  });
  return file;
}

const tools = { install: installOn({ platform: "linux", isRoot: true }) };
const trying = async (path: string): Promise<string> =>
  await requireEtcdModule({ path, version: "4.0.7" }, tools).then(
    () => "taken",
    (error: unknown) => String(error),
  );

test("a Patroni that Debian has installed for another store is refused before anything is touched", async () => {
  expect(await trying(patroniFor("consul, kubernetes"))).toMatch(/module for etcd/);
  expect(await trying(patroniFor("consul, etcd, kubernetes"))).toMatch(/module for etcd/);
  expect(await trying(patroniFor("etcd, etcd3, kubernetes"))).toBe("taken");
});

test("one that does not say what it can is believed", async () => {
  expect(await trying("/bin/false")).toBe("taken");
});
