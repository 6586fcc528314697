import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { NewFilestore } from "../../src/restore/target/attachments.ts";
import { FilestoreReader } from "../../src/system/files/filestore-reader.ts";
import { copyHashed } from "../../src/system/files/pool-files.ts";
import { ordinaryUser } from "../support/ordinary-user.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

const SECRET = "root's secret\n";
const sha1 = (text: string): string => createHash("sha1").update(text).digest("hex");

/** Filestores of Odoo's user, one database in them, and things of root's beside. */
async function filestores() {
  const odoo = await ordinaryUser();
  const folder = temporaryFolder();
  const root = join(folder, "filestore");
  const database = join(root, "shop");
  for (const directory of [root, database, join(database, "ab")]) {
    mkdirSync(directory);
    chownSync(directory, odoo.uid, odoo.gid);
  }
  const secrets = join(folder, "secrets");
  mkdirSync(secrets, { mode: 0o700 });
  writeFileSync(join(secrets, "secret"), SECRET, { mode: 0o600 });
  // Readable by its mode alone: nobody but root gets there.
  writeFileSync(join(secrets, "open"), SECRET, { mode: 0o644 });
  const put = (name: string, text: string): void => {
    const file = join(database, name);
    writeFileSync(file, text);
    chownSync(file, odoo.uid, odoo.gid);
  };
  return { odoo, folder, root, database, secrets, put };
}

/** What a backup would take of a file. */
async function taken(database: string, name: string, to: string): Promise<string | undefined> {
  const reader = new FilestoreReader(database);
  try {
    const copy = await reader.using(name, async (file) => await copyHashed(file, to, undefined, to));
    expect(reader.bytes(name) === undefined).toBe(copy === undefined);
    return copy?.sha1;
  } finally {
    reader.close();
  }
}

/** A shell of another user that does something again and again until the end of the test. */
function again(user: { uid: number; gid: number }, script: string): () => number {
  let rounds = 0;
  const shell = spawn("sh", ["-c", `while :; do ${script}; echo; done`], {
    ...user,
    cwd: "/",
    stdio: ["ignore", "pipe", "ignore"],
  });
  shell.stdout.on("data", (chunk: Buffer) => {
    rounds += chunk.length;
  });
  atEnd(async () => {
    shell.kill("SIGKILL");
    await new Promise((resolve) => shell.once("close", resolve));
  });
  return () => rounds;
}

describe.runIf(process.geteuid?.() === 0 && process.platform === "linux")("as root", () => {
  test("what the filestore's owner may read is taken, whoever else owns it", async () => {
    const { database, folder, put } = await filestores();
    put("ab/own", "own");
    writeFileSync(join(database, "ab", "of root"), "open", { mode: 0o644 });
    expect(await taken(database, "ab/own", join(folder, "1"))).toBe(sha1("own"));
    expect(await taken(database, "ab/of root", join(folder, "2"))).toBe(sha1("open"));
  });

  test("what the filestore's owner could not read is not there: links, pipes, devices, second names, closed files", async () => {
    const { database, folder, secrets } = await filestores();
    const at = (name: string): string => join(database, "ab", name);
    symlinkSync(join(secrets, "secret"), at("link"));
    symlinkSync(join(secrets, "open"), at("link to open"));
    linkSync(join(secrets, "secret"), at("second name"));
    writeFileSync(at("closed"), SECRET, { mode: 0o600 });
    mkdirSync(at("folder"));
    execFileSync("mknod", ["-m", "666", at("pipe"), "p"]);
    execFileSync("mknod", ["-m", "666", at("device"), "c", "1", "5"]);
    symlinkSync(secrets, join(database, "cd"));
    mkdirSync(join(database, "ef"), { mode: 0o700 });
    writeFileSync(join(database, "ef", "behind a closed folder"), SECRET, { mode: 0o644 });
    const names = [...readdirSync(join(database, "ab")).map((name) => `ab/${name}`), "cd/open", "cd/secret"];
    expect(names.length).toBe(9);
    for (const name of [...names, "ef/behind a closed folder", "ab/nothing"])
      expect([name, await taken(database, name, join(folder, "copy"))]).toEqual([name, undefined]);
  });

  test("a link in the place of the database's folder leads nowhere that its owner could not lead to anyway", async () => {
    const { folder, root, secrets, odoo } = await filestores();
    const link = join(root, "linked");
    execFileSync("ln", ["-s", secrets, link], odoo);
    expect(() => new FilestoreReader(link)).toThrow(/cannot be trusted/);
    const elsewhere = join(folder, "elsewhere");
    mkdirSync(elsewhere);
    writeFileSync(join(elsewhere, "file"), "moved");
    chownSync(elsewhere, odoo.uid, odoo.gid);
    execFileSync("ln", ["-s", elsewhere, join(root, "moved")], odoo);
    expect(await taken(join(root, "moved"), "file", join(folder, "copy"))).toBe(sha1("moved"));
  });

  test("nothing of root's is ever read, however fast the owner swaps files and folders for links", async () => {
    const { database, folder, secrets, put, odoo } = await filestores();
    put("ab/file", "own");
    const real = join(database, "ab");
    const rounds = again(
      odoo,
      `mv ${real} ${real}.away; ln -s ${secrets} ${real}; rm ${real}; mv ${real}.away ${real};
       ln -sf ${secrets}/secret ${real}/new; mv -f ${real}/new ${real}/secret; ln -sf ${secrets}/open ${real}/open`,
    );
    await waitFor("the owner to swap", () => rounds() > 3);
    const seen = new Set<string | undefined>();
    for (let round = 0; round < 300; round += 1) {
      for (const name of ["ab/file", "ab/secret", "ab/open"])
        seen.add(
          await taken(database, name, join(folder, `copy ${round} ${name.slice(3)}`)).catch(() => "error"),
        );
      if (round % 50 === 0)
        await waitFor(
          "the owner to go on",
          (
            (before) => () =>
              rounds() > before
          )(rounds()),
        );
    }
    expect(seen.has(sha1(SECRET))).toBe(false);
    const read = readdirSync(folder).filter(
      (name) => name.startsWith("copy") && readFileSync(join(folder, name), "utf8") === SECRET,
    );
    expect(read).toEqual([]);
  });

  test("what is restored goes into the folder that was made, whatever its owner puts in its place", async () => {
    const { root, secrets, odoo } = await filestores();
    const made = join(root, "made");
    const rounds = again(
      odoo,
      `mv ${made} ${made}.away && ln -s ${secrets} ${made}; rm -f ${made}; mv ${made}.away ${made}`,
    );
    const files = new NewFilestore(made);
    for (let number = 0; number < 200; number += 1) {
      const text = `file ${number}`;
      const name = `${sha1(text).slice(0, 2)}/${sha1(text)}`;
      await files.addFromZip(
        name,
        (async function* () {
          yield Buffer.from(text);
        })(),
      );
      if (number === 100) {
        // Until it is whole nothing in it is the owner's to change.
        const inner = readdirSync(root).filter((entry) => lstatSync(join(root, entry)).isDirectory());
        expect(inner.length).toBeGreaterThan(0);
        await waitFor("the owner to swap", () => rounds() > 3);
      }
    }
    await files.finish();
    expect(files.files).toBe(200);
    expect(readdirSync(secrets).sort()).toEqual(["open", "secret"]);
    const { uid, mode } = lstatSync(secrets);
    expect([uid, mode & 0o777]).toEqual([0, 0o700]);
    expect(readFileSync(join(secrets, "secret"), "utf8")).toBe(SECRET);
    files.close();
  });

  test("a restored filestore is its owner's when it is whole, and nobody's before", async () => {
    const { root, odoo } = await filestores();
    chmodSync(root, 0o750);
    const files = new NewFilestore(join(root, "new"));
    const name = `ab/${sha1("x")}`;
    await files.addFromZip(
      name,
      (async function* () {
        yield Buffer.from("x");
      })(),
    );
    const look = (entry: string): unknown => {
      const { uid, mode } = lstatSync(join(root, "new", entry));
      return [uid, mode & 0o777];
    };
    expect(look("")).toEqual([0, 0o700]);
    await files.finish();
    expect([look(""), look(dirname(name)), look(name)]).toEqual([
      [odoo.uid, 0o750],
      [odoo.uid, 0o750],
      [odoo.uid, 0o640],
    ]);
    files.close();
  });
});
