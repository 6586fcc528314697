import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { OwnFolders } from "../../src/archive/copying/own.ts";
import { prepareStanza, type Pgbackrest } from "../../src/archive/pgbackrest.ts";
import { folderFor, forgetRepository, makeRepository } from "../../src/archive/repository-mark.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** A disk with a repository on it, which can be unmounted: what is below it is an empty folder. */
function newDisk() {
  const folder = temporaryFolder();
  const mounted = join(folder, "disk");
  const away = join(folder, "away");
  mkdirSync(mounted);
  const repository = join(mounted, "repository");
  const program = join(folder, "pgbackrest");
  writeFileSync(
    program,
    `#!/bin/sh\nmkdir -p ${repository}/archive/lab ${repository}/backup/lab && echo x >> ${repository}/archive/lab/archive.info\n`,
  );
  chmodSync(program, 0o755);
  const pgbackrest: Pgbackrest = { program, conf: "none", stanza: "lab", owner: undefined };
  return {
    mounted,
    pgbackrest,
    place: { repository, stanza: "lab", markFile: join(folder, "repository.json") },
    unmount: () => {
      renameSync(mounted, away);
      mkdirSync(mounted);
    },
    mount: () => {
      rmSync(mounted, { recursive: true });
      renameSync(away, mounted);
    },
  };
}

const MISSING = { code: "repository_missing" };

describe("a repository whose disk is not mounted", () => {
  test("is missed once there was one, in that place and of that cluster", () => {
    const place = { repository: "/mnt/a", stanza: "lab" };
    expect(folderFor(undefined, place, false)).toBe("new");
    expect(folderFor(undefined, place, true)).toBe("present");
    expect(folderFor(place, place, true)).toBe("present");
    expect(folderFor(place, place, false)).toBe("missing");
    expect(folderFor({ ...place, repository: "/mnt/b" }, place, false)).toBe("new");
    expect(folderFor({ ...place, stanza: "other" }, place, false)).toBe("new");
  });

  test("is not begun anew by a primary, and is used again when the disk is back", async () => {
    const { place, pgbackrest, mounted, unmount, mount } = newDisk();
    await makeRepository(place, undefined);
    await prepareStanza(pgbackrest, place);
    unmount();

    await expect(prepareStanza(pgbackrest, place)).rejects.toMatchObject(MISSING);
    await expect(makeRepository(place, undefined)).rejects.toMatchObject(MISSING);
    expect(readdirSync(mounted)).toEqual([]);

    mount();
    await makeRepository(place, undefined);
    await prepareStanza(pgbackrest, place);
  });

  test("is not copied anew", async () => {
    const { place, mounted, unmount, mount } = newDisk();
    const own = { ...place, owner: undefined, systemIdentifier: "7", days: 7, dataDir: mounted };
    const copy = async (act: (folders: OwnFolders) => Promise<unknown>): Promise<void> => {
      const folders = await OwnFolders.open(own);
      await act(folders).finally(() => folders.close());
    };
    await copy(async (folders) => await folders.writeInfos({ archive: "a", backup: "b" }));
    await copy(async (folders) => await folders.infos());
    unmount();

    await expect(OwnFolders.open(own)).rejects.toMatchObject(MISSING);
    expect(readdirSync(mounted)).toEqual([]);

    mount();
    // One that was put aside is there, too, whatever comes in its place.
    await copy(async (folders) => await folders.putAside());
    await copy(async (folders) => await folders.infos());
  });

  test("is remembered of those that were there before anything was remembered, until any second is turned off", async () => {
    const { place, pgbackrest, unmount } = newDisk();
    await prepareStanza(pgbackrest, { ...place, markFile: undefined });
    await makeRepository(place, undefined);
    unmount();
    await expect(makeRepository(place, undefined)).rejects.toMatchObject(MISSING);

    await forgetRepository(place);

    await makeRepository(place, undefined);
    expect(existsSync(place.repository)).toBe(true);
  });
});
