import { expect, test } from "vitest";
import { sayOf, silenceSchema } from "../../src/model/silence.ts";
import { silenceOf } from "../../src/postgres/sql/observing/silence.ts";
import { within } from "../../src/system/clock.ts";
import { SqlError } from "../../src/system/sql/sql.ts";

test.each(silenceSchema.shape.kind.options)(
  "a silence of kind %s is said after a name, on one line",
  (kind) => {
    for (const detail of [undefined, "", "two\nlines"]) {
      const said = sayOf({ kind, ...(detail === undefined ? {} : { detail }) });
      expect(said).toMatch(/^(?:is|was|does|refuses|ended) [^\n]*[^\s(]$/);
    }
  },
);

test("why a server does not answer is told by what the session failed with", async () => {
  const late: unknown = await within(5, "pg1", new Promise(() => {})).catch((error: unknown) => error);
  expect(silenceOf(late, 1500)).toEqual({ kind: "timeout", detail: "1.5 s" });
  expect(silenceOf(new SqlError("canceling statement", "57014"))).toEqual({ kind: "timeout" });
  expect(silenceOf(new SqlError("connect ENOENT /run/.s.PGSQL.5432", "ENOENT"))).toEqual({
    kind: "not_running",
  });
  expect(silenceOf(new SqlError("the database system is starting up", "57P03"))).toEqual({
    kind: "starting",
    detail: "the database system is starting up",
  });
  expect(silenceOf(new SqlError("sorry, too many clients already", "53300"))).toEqual({
    kind: "refused",
    detail: "sorry, too many clients already",
  });
  expect(silenceOf(new SqlError("Connection terminated unexpectedly", undefined))).toEqual({
    kind: "connection_lost",
  });
  expect(silenceOf(new SqlError("out of memory", "53200"))).toEqual({
    kind: "other",
    detail: "out of memory",
  });
});
