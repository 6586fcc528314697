import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { assertNamesOwnFiles } from "../../src/restore/reading/dump-folder.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

function number(value: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.writeUInt8(value < 0 ? 1 : 0);
  bytes.writeUInt32LE(Math.abs(value), 1);
  return bytes;
}

const none = number(-1);
const text = (value: string): Buffer => Buffer.concat([number(value.length), Buffer.from(value, "latin1")]);

interface Entry {
  readonly kind?: string;
  readonly file: string;
}

/** As pg_dump writes it (pg_backup_archiver.c, WriteHead and WriteToc). */
function toc(entries: readonly Entry[], minor = 14): Buffer {
  const head = [
    Buffer.from("PGDMP"),
    Buffer.from([1, minor, 0, 4, 8, 3]),
    minor >= 15 ? Buffer.from([1]) : none,
    ...[1, 2, 3, 4, 5, 126, -1].map(number),
    ...["shop", "15.18", "15.18"].map(text),
    number(entries.length),
  ];
  const body = entries.flatMap(({ kind = "TABLE DATA", file }, at) => [
    number(at + 1),
    number(1),
    ...["1259", "16391", "t", kind].map(text),
    number(3),
    text("x".repeat(300_000)),
    text(""),
    text("COPY public.t FROM stdin;\n"),
    text("public"),
    none,
    ...(minor >= 14 ? [text("heap")] : []),
    ...(minor >= 16 ? [number(114)] : []),
    text("odoo"),
    text("false"),
    text("214"),
    none,
    text(file),
  ]);
  return Buffer.concat([...head, ...body]);
}

async function looked(bytes: Buffer, more: Readonly<Record<string, string>> = {}): Promise<void> {
  const folder = temporaryFolder();
  for (const [name, content] of Object.entries({ "toc.dat": bytes, ...more }))
    writeFileSync(join(folder, name), content);
  await assertNamesOwnFiles(folder);
}

const OWN = [{ file: "" }, { file: "3338.dat" }, { kind: "BLOBS", file: "blobs.toc" }, { file: "" }];

test.each([12, 13, 14, 15, 16])("what pg_dump writes in format 1.%d is taken", async (minor) => {
  await looked(toc(OWN, minor), { "blobs.toc": "4711 blob_4711.dat\n4712 blob_4712.dat\n" });
  await looked(toc([{ kind: "BLOBS", file: minor < 16 ? "12.dat" : "blobs_12.toc" }], minor));
  await looked(toc([], minor));
});

describe("is refused:", () => {
  test.each([
    ["a file above the folder", "../../../etc/shadow"],
    ["a file below it", "sub/1.dat"],
    ["another file in it", "manifest.json"],
    ["a name that only begins like one", `${"1".repeat(60)}.dat/../../secret`],
  ])("%s", async (_what, file) => {
    for (const minor of [12, 14, 16])
      await expect(looked(toc([...OWN, { file }, { file: "1.dat" }], minor))).rejects.toMatchObject({
        code: "dump_unusable",
        message: expect.stringContaining(JSON.stringify(file.slice(0, 64))),
      });
  });

  test.each([
    ["a list of large objects by the name of rows", "BLOBS", "12.dat"],
    ["the same, of a kind that ends for pg_restore where a zero is", "BLOBS\0", "12.dat"],
  ])("%s", async (_what, kind, file) => {
    await expect(looked(toc([{ kind, file }], 16))).rejects.toMatchObject({ code: "dump_unusable" });
  });

  test.each([
    ["blobs.toc", "1 blob_1.dat\n2 ../secret\n"],
    ["blobs_12.toc", "1 blob_1.dat\n2 sub/secret\n"],
    ["blobs.toc", `1 ${"x".repeat(1_000_000)}`],
    ["blobs.toc.gz", ""],
  ])("a list %s of large objects with other files", async (name, list) => {
    await expect(looked(toc(OWN), { [name]: list })).rejects.toMatchObject({ code: "dump_unusable" });
  });

  test.each([
    ["that is cut off", toc(OWN).subarray(0, -1)],
    ["of a format that is not known", toc(OWN, 17)],
    ["whose lengths are none", Buffer.concat([toc([]).subarray(0, -5), Buffer.from([2, 1, 0, 0, 0])])],
  ])("a list of contents %s", async (_what, bytes) => {
    await expect(looked(bytes)).rejects.toMatchObject({ code: "dump_unusable" });
  });
});
