import { join } from "node:path";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { takeMomentLock } from "../../src/archive/moment-lock.ts";
import type { ArchivePlace } from "../../src/archive/place.ts";
import { lockHolder, releaseLock, takeLock } from "../../src/store/lock.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test("a recovery waits for who removes what the last one left", async () => {
  const folder = temporaryFolder();
  const at = (name: string): string => join(folder, name);
  const place: ArchivePlace = {
    repository: folder,
    stanza: "test",
    dir: folder,
    locks: at("locks"),
    recordFile: at("record"),
    lockFile: at("lock"),
    moments: at("moments"),
    momentLock: at("moment.lock"),
    keptFile: at("kept"),
    copies: at("copies"),
  };
  const tidying = spawn("sleep", ["60"], { stdio: "ignore" });
  await once(tidying, "spawn");
  atEnd(() => void tidying.kill("SIGKILL"));
  const { pid = 0 } = tidying;
  await takeLock(place.momentLock, pid);
  const taken = takeMomentLock(place, undefined);
  await releaseLock(place.momentLock, pid);
  await taken;
  expect(await lockHolder(place.momentLock)).toBe(process.pid);
  await releaseLock(place.momentLock, process.pid);
});
