import { execFileSync } from "node:child_process";
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

  test.runIf(process.platform === "linux")(
    "nor do pipes, devices and names that nobody can print keep it from what is one",
    async () => {
      const named = (letter: string): string => `ab${letter.repeat(38)}`;
      const folder = join(shop, "ab");
      mkdirSync(folder);
      execFileSync("mkfifo", [join(folder, named("0"))]);
      // It would give bytes without an end.
      if (process.getuid?.() === 0) execFileSync("mknod", [join(folder, named("1")), "c", "1", "5"]);
      for (const name of [
        `${named("2")}\n`,
        `${named("2")}\r`,
        `\u001b[2J${named("2")}`.slice(0, 42),
        "-rf",
        "..ab",
        "x".repeat(255),
        Buffer.from([0xff, 0xfe, 0x61]),
      ])
        writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name)]), "hostile");
      writeFileSync(join(shop, "checklist"), "not a folder");
      // Nothing has this checksum.
      writeFileSync(join(folder, named("3")), "");
      age(folder, 120);
      const whole = writeAttachment(shop, "an attachment");
      const found = await keeper.look(["shop", "x".repeat(255), "a\nb", "\u001b[2J"]);
      expect(found).toMatchObject({ files: 1, damaged: [`shop/ab/${named("3")}`] });
      expect(isPooled(whole)).toBe(true);
      expect(readdirSync(place.pool).toSorted()).toEqual([whole.slice(0, 2)]);
    },
  );

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
