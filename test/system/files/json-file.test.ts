import * as fc from "fast-check";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as z from "zod";
import { inspectJsonFile, parseJson, readJsonFile } from "../../../src/system/files/json-file.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const schema = z.object({ version: z.literal(1), name: z.string(), sizes: z.number().array() });
const whole = fc.record({
  version: fc.constant(1),
  name: fc.string(),
  sizes: fc.array(fc.integer(), { maxLength: 5 }),
});
const told = { code: "state_dir_unusable", safe: "Nothing.", next: "Nothing." } as const;

test("a document comes back as it was; one that is cut off anywhere is refused", () => {
  fc.assert(
    fc.property(whole, fc.double({ min: 0, max: 0.999, noNaN: true }), (document, share) => {
      const text = JSON.stringify(document);
      expect(parseJson(text, schema)).toEqual({ ok: true, value: document });
      expect(parseJson(text.slice(0, Math.floor(text.length * share)), schema).ok).toBe(false);
    }),
  );
});

test("what is wrong is told without a byte of the text, whatever the text is", () => {
  const secret = "hunter2:$6$salt$";
  const texts = [
    secret,
    `{"${secret}":1}`,
    `{"version":"${secret}"}`,
    `{"name":{"${secret}":2}}`,
    `["${secret}"]`,
  ];
  const problems = texts.map((text) =>
    parseJson(text, z.record(z.string(), z.record(z.string(), z.boolean()))),
  );
  for (const parsed of [...problems, ...texts.map((text) => parseJson(text, schema))]) {
    expect(parsed.ok).toBe(false);
    expect(JSON.stringify(parsed)).not.toContain("hunter2");
  }
});

test("a damaged file is named in the error; one that is not there is none", async () => {
  const file = join(temporaryFolder(), "record.json");
  expect(await readJsonFile(file, schema, told)).toBe(undefined);
  expect(await inspectJsonFile(file, schema)).toBe(undefined);
  for (const text of ["", " \n", "\0\0\0\0", "{", "null", "[]", '{"version":2,"name":"","sizes":[]}']) {
    writeFileSync(file, text);
    await expect(readJsonFile(file, schema, told)).rejects.toMatchObject({
      code: "state_dir_unusable",
      message: expect.stringContaining(file),
    });
    expect(await inspectJsonFile(file, schema)).toMatchObject({ ok: false });
  }
});
