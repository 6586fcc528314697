import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { copyToFetch } from "../../src/offsite/fetch.ts";
import { copyFolders, ensureRepository, listCopies, type Restic } from "../../src/offsite/restic.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

function newRestic(): { restic: Restic; folder: string } {
  const place = temporaryFolder();
  const folder = join(place, "folder");
  mkdirSync(folder);
  writeFileSync(join(folder, "file"), "content");
  writeFileSync(join(place, "passphrase"), "of a test", { mode: 0o600 });
  const environment = {
    HOME: place,
    RESTIC_REPOSITORY: join(place, "repository"),
    RESTIC_PASSWORD_FILE: join(place, "passphrase"),
    RESTIC_CACHE_DIR: join(place, "cache"),
  };
  return { restic: { program: "restic", environment, signal: undefined }, folder };
}

test.runIf(process.platform === "linux")(
  "a copy without a file that could not be read is not kept, and says which file and why",
  async () => {
    const { restic, folder } = newRestic();
    await ensureRepository(restic);
    const options = { cluster: "prod", excludes: [] };
    const whole = await copyFolders(restic, [folder], options);
    expect(whole.kind).toBe("whole");
    // Nobody can read its beginning, not even root.
    const incomplete = await copyFolders(restic, [folder, "/proc/self/mem"], options);
    expect(incomplete).toEqual({ kind: "incomplete", why: expect.stringMatching(/^\/proc\/self\/mem: ./) });
    expect((await listCopies(restic)).map(({ paths }) => paths)).toEqual([[folder]]);
  },
);

describe("what is fetched", () => {
  const copies = [
    { id: "aaaaaaaa", time: "2026-11-28T10:00:00Z", hostname: "prod", paths: [] },
    { id: "bbbbbbbb", time: "2026-11-28T11:00:00Z", hostname: "prod", paths: [] },
    { id: "cccccccc", time: "2026-11-28T12:00:00Z", hostname: "other", paths: [] },
  ];

  test("is the newest copy of the cluster", () => {
    expect(copyToFetch(copies, "prod", undefined)?.id).toBe("bbbbbbbb");
    expect(copyToFetch(copies, "prod", { snapshot: "aaaaaaaa", done: [] })?.id).toBe("bbbbbbbb");
    expect(copyToFetch(copies, "absent", undefined)).toBeUndefined();
  });

  test("goes on with the copy of which a part is here, for as long as there is that copy", () => {
    expect(copyToFetch(copies, "prod", { snapshot: "aaaaaaaa", done: ["backups"] })?.id).toBe("aaaaaaaa");
    expect(copyToFetch(copies, "prod", { snapshot: "dddddddd", done: ["backups"] })?.id).toBe("bbbbbbbb");
  });
});
