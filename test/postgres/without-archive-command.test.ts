import { expect, test } from "vitest";
import { withoutArchiveCommand } from "../../src/postgres/render.ts";

const OURS = "/usr/bin/pgbackrest --config='/var/lib/o''dd/pg1.conf' archive-push \"%p\"";

test("a file archives nothing any more where it did so by our command, and keeps all else", () => {
  const quoted = `'${OURS.replaceAll("'", "''")}'`;
  const file = (command: string): string => `# Made\narchive_command = ${command}  # why\nwork_mem = '4MB'\n`;
  expect(withoutArchiveCommand(file(quoted), OURS, "linux")).toBe(file("'/bin/true'"));
  const own = file("'cp %p /elsewhere'");
  expect(withoutArchiveCommand(own, OURS, "linux")).toBe(own);
  const off = file("'/bin/true'");
  expect(withoutArchiveCommand(off, OURS, "linux")).toBe(off);
});
