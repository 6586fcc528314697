import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseMoment } from "../../src/model/moment.ts";

const BRUSSELS = "Europe/Brussels";

describe("a moment", () => {
  test.each([
    ["2026-11-21 09:41:07", "2026-11-21 08:41:07+00"],
    ["2026-07-21T09:41:07", "2026-07-21 07:41:07+00"],
    ["2026-11-21 09:41", "2026-11-21 08:41:00+00"],
    ["2026-11-21 09:41:07.25", "2026-11-21 08:41:07.25+00"],
    ["2026-11-21 09:41:07Z", "2026-11-21 09:41:07+00"],
    ["2026-11-21 09:41:07 UTC", "2026-11-21 09:41:07+00"],
    ["2026-11-21 09:41:07-05:30", "2026-11-21 15:11:07+00"],
    ["2026-11-21 00:10:00+01", "2026-11-20 23:10:00+00"],
  ])("is read from %s in the host's zone, or by its offset", (text, utc) => {
    expect(parseMoment(text, BRUSSELS)).toMatchObject({ utc });
  });

  test.each(["yesterday", "2026-02-30 10:00:00", "2026-11-21 24:00:00", "2026-11-21", "1795886064", ""])(
    "is not read from %j",
    (text) => {
      expect(parseMoment(text, BRUSSELS)).toContain("is not a moment");
    },
  );

  test("that clocks show twice needs an offset, and is told both", () => {
    const words = parseMoment("2026-10-25 02:30:00", BRUSSELS);
    expect(words).toContain("2026-10-25 02:30:00+02:00");
    expect(words).toContain("2026-10-25 02:30:00+01:00");
    expect(parseMoment("2026-10-25 02:30:00+01:00", BRUSSELS)).toMatchObject({
      utc: "2026-10-25 01:30:00+00",
    });
  });

  test("that clocks leave out never was", () => {
    expect(parseMoment("2026-03-29 02:30:00", BRUSSELS)).toContain("never was");
  });

  test("comes back from what any zone's clocks show of it, unless they show it twice", () => {
    const zones = [BRUSSELS, "UTC", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe"];
    fc.assert(
      fc.property(
        fc.constantFrom(...zones),
        fc.integer({ min: Date.UTC(2001, 0, 1) / 1000, max: Date.UTC(2035, 0, 1) / 1000 }),
        (zone, seconds) => {
          const shown = new Date(seconds * 1000).toLocaleString("sv-SE", { timeZone: zone });
          const read = parseMoment(shown, zone);
          if (typeof read === "string") expect(read).toContain("was twice");
          else expect(read.at).toBe(seconds * 1000);
        },
      ),
    );
  });
});
