import { describe, expect, test } from "vitest";
import {
  alarmFor,
  alarmNames,
  alarmOf,
  isTroubleCode,
  renamedAlarm,
  SUBJECTS,
  troubleCodes,
  troubleOf,
  warningCodes,
} from "../../src/model/troubles/troubles.ts";

describe("the registry of troubles", () => {
  test("has each trouble under one subject, and every subject in the registry", () => {
    const codes = SUBJECTS.flatMap(({ troubles }) => Object.keys(troubles));
    expect([...codes].sort()).toEqual([...troubleCodes()].sort());
  });

  test("has nothing that nobody looks for", () => {
    const sought = troubleCodes().filter((code) => {
      const { foundBy, alarm, prometheus } = troubleOf(code);
      return foundBy.length > 0 || alarm !== undefined || prometheus !== undefined;
    });
    expect(sought).toEqual(troubleCodes());
  });

  test("has advice only where doctor gives it", () => {
    const advice = troubleCodes().filter((code) => troubleOf(code).severity === "advice");
    expect(advice.length).toBeGreaterThan(5);
    for (const code of advice) expect(troubleOf(code)).toMatchObject({ foundBy: ["doctor"] });
    expect(advice.filter((code) => troubleOf(code).prometheus ?? troubleOf(code).alarm)).toEqual([]);
  });

  test("has an alarm for every critical warning, but that of a cluster where no agent could send it", () => {
    const critical = warningCodes().filter((code) => troubleOf(code).severity === "critical");
    expect(critical.filter((code) => alarmFor(code) === undefined)).toEqual(["cluster_not_running"]);
  });

  test("has no alarm that rings for a trouble of another severity", () => {
    for (const code of troubleCodes()) {
      const name = alarmFor(code);
      if (typeof troubleOf(code).alarm === "string") expect(name, code).toBeDefined();
      if (name !== undefined) expect(troubleOf(code).severity, code).toBe(troubleOf(name).severity);
    }
  });

  test("gives no name of version 0.1 to anything else", () => {
    const former = alarmNames().flatMap((name) => alarmOf(name).formerly ?? []);
    expect(former).toContain("backup_late");
    expect(new Set(former).size).toBe(former.length);
    expect(former.filter(isTroubleCode)).toEqual([]);
    expect(renamedAlarm("backup_late")).toBe("backup_too_old");
  });
});
