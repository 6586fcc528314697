import { describe, expect, test } from "vitest";
import { missedBy } from "../../src/archive/recovering.ts";

describe("a recovery that ended", () => {
  test.each([
    "FATAL:  requested recovery stop point is before consistent recovery point",
    `FATAL:  requested timeline 2 is not a child of this server's history
DETAIL:  Latest checkpoint is at 0/9000060 on timeline 1, but in the history of the requested timeline, the server forked off from that timeline at 0/5000110.`,
    "FATAL:  requested timeline 2 does not contain minimum recovery point 0/9000100 on timeline 1",
    "FATAL:  recovery target timeline 2 does not exist",
    `LOG:  invalid checkpoint record
FATAL:  could not locate required checkpoint record
HINT:  If you are restoring from a backup, touch "/x/recovery.signal" and add required recovery options.`,
    "FATAL:  could not locate required checkpoint record at 0/9000060",
    "FATAL:  could not find redo location referenced by checkpoint record",
    "FATAL:  WAL ends before end of online backup",
    "FATAL:  WAL ends before consistent recovery point",
  ])("leaves the older base backups to be tried: %s", (words) => {
    expect(missedBy(words)).toBe("not_reached");
  });

  test("says where its timeline ended before: the moment may lie on it all the same", () => {
    const words = "FATAL:  recovery ended before configured recovery target was reached";
    expect(missedBy(words)).toBe("ended_before");
  });

  test("says where a tablespace would have led it to the files of the live cluster", () => {
    const words = 'could not create symbolic link "pg_tblspc/16400": Permission denied';
    expect(missedBy(`FATAL:  ${words}`)).toBe("tablespace");
    // One that was dropped is of no account.
    expect(missedBy(`LOG:  ${words.replace("create", "remove")}`)).toBeUndefined();
  });

  test("says where a database alone is not enough", () => {
    expect(missedBy("PANIC:  WAL contains references to invalid pages")).toBe("needs_all");
  });

  test.each([
    "",
    'FATAL:  could not access file "pg_stat_statements": No such file or directory',
    "FATAL:  recovery aborted because of insufficient parameter settings",
    'PANIC:  could not write to file "pg_wal/xlogtemp.1": No space left on device',
  ])("ends the attempts where no other base backup helps: %s", (words) => {
    expect(missedBy(words)).toBeUndefined();
  });
});
