import { expect, test } from "vitest";
import { readArchiveList } from "../../src/restore/loading/archive-list.ts";

test("row security comes after everything that looks at rows, and before privileges", () => {
  // As pg_restore 15 lists them; its own processes take them in any order that no dependency forbids.
  const list = readArchiveList(`;     Dumped from database version: 15.18
3456; 0 17001 ROW SECURITY public line odoo
3457; 3256 17010 POLICY public line own odoo
3300; 2606 17002 FK CONSTRAINT public line line_t odoo
3500; 0 0 ACL - TABLE line odoo
217; 1259 16999 TABLE public line odoo
`);
  const ids = (entries: readonly { readonly id: number }[]): number[] => entries.map(({ id }) => id);
  expect(ids(list.load)).toEqual([3457, 3300, 217]);
  expect(ids(list.last)).toEqual([3456, 3500]);
});
