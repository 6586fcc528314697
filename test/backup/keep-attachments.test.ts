import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { AttachmentsKeeper } from "../../src/backup/attachments/keep-attachments.ts";
import { type BackupPlace, placeOf, poolFile } from "../../src/backup/place.ts";
import { writeAttachment } from "../support/odoo-database.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

let place: BackupPlace;
let filestores: string;
let shop: string;
let keeper: AttachmentsKeeper;

beforeEach(() => {
  place = placeOf(join(temporaryFolder(), "backups"));
  filestores = temporaryFolder();
  shop = join(filestores, "shop");
  mkdirSync(shop);
  keeper = new AttachmentsKeeper(place, filestores, undefined);
});

const look = async (): Promise<number> => (await keeper.look(["shop"])).files;
const sha1Of = (storeFname: string): string => storeFname.slice(3);
const isPooled = (storeFname: string): boolean => existsSync(poolFile(place, sha1Of(storeFname)));

/** As if a folder had been changed some time ago. */
function age(folder: string, seconds: number): void {
  const at = Date.now() / 1000 - seconds;
  utimesSync(folder, at, at);
}

describe("the pool gets attachments as they are written", () => {
  test("each once, also one that is dropped and collected later", async () => {
    const first = writeAttachment(shop, "first");
    expect(await look()).toBe(1);
    const second = writeAttachment(shop, "second");
    expect(await look()).toBe(1);
    rmSync(join(shop, second));
    expect(await look()).toBe(0);
    expect([isPooled(first), isPooled(second)]).toEqual([true, true]);
    expect(readFileSync(poolFile(place, sha1Of(second)), "utf8")).toBe("second");
  });

  test("of a folder that has not changed since, nothing is read", async () => {
    const name = writeAttachment(shop, "settled");
    age(dirname(join(shop, name)), 60);
    expect(await look()).toBe(1);
    rmSync(poolFile(place, sha1Of(name)));
    expect(await look()).toBe(0);
    writeAttachment(shop, "settled");
    age(dirname(join(shop, name)), 30);
    expect(await look()).toBe(1);
  });

  test("also where the folder changes again within the same tick of its file system", async () => {
    const name = writeAttachment(shop, "one");
    expect(await look()).toBe(1);
    // Its time says that nothing has happened.
    rmSync(poolFile(place, sha1Of(name)));
    expect(await look()).toBe(1);
  });

  test("one that is being written is taken when it is whole", async () => {
    const sha1 = createHash("sha1").update("the whole of it").digest("hex");
    const name = `${sha1.slice(0, 2)}/${sha1}`;
    mkdirSync(join(shop, sha1.slice(0, 2)));
    writeFileSync(join(shop, name), "the whole");
    expect(await keeper.look(["shop"])).toEqual({ files: 0, bytes: 0, damaged: [] });
    expect(isPooled(name)).toBe(false);
    writeFileSync(join(shop, name), "the whole of it");
    expect(await look()).toBe(1);
    expect(readdirSync(place.pool)).toEqual([sha1.slice(0, 2)]);
  });

  test("one that is damaged is told, and not taken", async () => {
    const name = writeAttachment(shop, "whole");
    writeFileSync(join(shop, name), "not so");
    age(dirname(join(shop, name)), 120);
    for (let looks = 0; looks < 2; looks++)
      expect(await keeper.look(["shop"])).toEqual({ files: 0, bytes: 0, damaged: [`shop/${name}`] });
    expect(isPooled(name)).toBe(false);
  });

  test("what is no attachment's file is left alone: other names, links, folders", async () => {
    const secret = join(temporaryFolder(), "secret");
    writeFileSync(secret, "secret");
    const sha1 = createHash("sha1").update("secret").digest("hex");
    const folder = join(shop, sha1.slice(0, 2));
    mkdirSync(folder);
    symlinkSync(secret, join(folder, sha1));
    writeFileSync(join(folder, "notes"), "notes");
    mkdirSync(join(folder, `${sha1.slice(0, 2)}${"0".repeat(38)}`));
    mkdirSync(join(shop, "checklist"));
    symlinkSync(dirname(secret), join(shop, "00"));
    // An ordinary user's link leads where that user may read anyway.
    if (process.getuid?.() === 0) expect(await look()).toBe(0);
    expect((await keeper.look(["..", "absent", "a/b"])).files).toBe(0);
  });

  test("copies that a killed one has left go, and those of a backup stay", async () => {
    for (const name of [".kept", ".new.0badcafe"]) {
      mkdirSync(join(place.pool, name), { recursive: true });
      writeFileSync(join(place.pool, name, "0"), "half");
    }
    const name = writeAttachment(shop, "next");
    expect(await look()).toBe(1);
    expect(readdirSync(place.pool).sort()).toEqual([".new.0badcafe", name.slice(0, 2)]);
  });
});
