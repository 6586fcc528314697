import { expect, test } from "vitest";
import { FINAL_RELEASES } from "../../src/advice/doctor/checks/versions.ts";
import { troubleOf } from "../../src/model/troubles/troubles.ts";

test("the documents have the days on which major versions end", () => {
  for (const [major, day] of FINAL_RELEASES)
    expect(troubleOf("major_version_ended").remark).toContain(`${major}: ${day}`);
});
