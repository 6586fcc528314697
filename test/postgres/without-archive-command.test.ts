import { expect, test } from "vitest";
import { quoteSetting } from "../../src/postgres/sql/quoting.ts";
import { withoutArchiveCommand } from "../../src/postgres/render.ts";

const MARK = "'--config=/var/lib/o'\\''dd/pg1.conf'";

test("a file archives nothing any more where it did so by our command, and keeps all else", () => {
  const file = (command: string): string =>
    `# Made\narchive_command = ${quoteSetting(command)}  # why\nwork_mem = '4MB'\n`;
  const without = (text: string): string => withoutArchiveCommand(text, MARK, "linux");
  const off = file("/bin/true");
  expect(without(file(`pgbackrest ${MARK} archive-push "%p"`))).toBe(off);
  // Also as another version writes it.
  expect(without(file(`set -- 'a b' ${MARK}; exec "$@" '%p'`))).toBe(off);
  const own = file(`cp %p '/elsewhere' # not ${MARK.slice(2)}`);
  expect(without(own)).toBe(own);
  expect(without(off)).toBe(off);
});
