import { expect, test } from "vitest";
import { changeSecondDrill, readSecondDrill } from "../../src/store/second-drill.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test("a drill of a second writes over nothing that another one has noted since it began", async () => {
  const folder = temporaryFolder();
  const [first, second] = ["2026-01-01T03:00:00.000Z", "2026-01-01T04:00:00.000Z"];
  const proven = { at: second, second, base: "20260101-010000F", seconds: 1, databases: 1, relations: 9 };
  await changeSecondDrill(folder, { begun_at: first });
  expect(await readSecondDrill(folder)).toMatchObject({ begun_at: first, proven: null, failed: null });
  await changeSecondDrill(folder, { begun_at: second, proven });
  // The first one ends, and has found something wrong.
  const failed = { at: second, second: first, error: "an index is damaged" };
  await changeSecondDrill(folder, { begun_at: first, failed });
  expect(await readSecondDrill(folder)).toMatchObject({ proven, failed });
});
