import { describe, expect, test } from "vitest";
import { readInfo } from "../../src/archive/info.ts";

const OURS = "7713270131294258091";

function info(systemIdentifier: string): string {
  return `[{"archive":[{"database":{"id":1,"repo-key":1},"id":"15-1","max":"000000010000000000000004","min":"000000010000000000000003"}],
    "backup":[{"archive":{"start":"000000010000000000000004","stop":"000000010000000000000004"},"backrest":{"format":5,"version":"2.45"},
    "database":{"id":1,"repo-key":1},"error":false,"info":{"delta":30529359,"repository":{"delta":3765045,"size":3765045},"size":30529359},
    "label":"20261128-170735F","lsn":{"start":"0/4000028","stop":"0/4000100"},"prior":null,"reference":null,
    "timestamp":{"start":1795885655,"stop":1795885657},"type":"full"}],"cipher":"none",
    "db":[{"id":1,"repo-key":1,"system-id":${systemIdentifier},"version":"15"}],"name":"prod",
    "status":{"code":0,"lock":{"backup":{"held":false}},"message":"ok"}}]`;
}

describe("what pgBackRest tells of a repository", () => {
  test("is read with a system identifier of 64 bits", () => {
    expect(readInfo(info(OURS), "prod", OURS)).toEqual([
      {
        label: "20261128-170735F",
        type: "full",
        started_at: "2026-11-28T17:07:35.000Z",
        stopped_at: "2026-11-28T17:07:38.000Z",
        stop_lsn: "0/4000100",
        timeline: 1,
        archive_start: "000000010000000000000004",
        database_bytes: 30529359,
        repository_bytes: 3765045,
      },
    ]);
  });

  test("names no timeline for a base backup that says no segment", () => {
    const without = info(OURS).replace(/"backup":\[\{"archive":\{[^}]*\}/, '"backup":[{"archive":null');
    expect(readInfo(without, "prod", OURS)).toMatchObject([{ timeline: null }]);
  });

  test("counts for nothing where it is of another cluster of the same name, also one that differs in the last digit", () => {
    expect(readInfo(info("7713270131294258090"), "prod", OURS)).toEqual([]);
    expect(readInfo(info(OURS), "test", OURS)).toEqual([]);
    expect(readInfo("[]", "prod", OURS)).toEqual([]);
  });

  test.each([
    "",
    "WARN: no info",
    "{}",
    '[{"name":1}]',
    info(OURS).replace("20261128-170735F", "--repo1-path=/"),
  ])("is refused where it is no such text: %j", (text) => {
    expect(() => readInfo(text, "prod", OURS)).toThrow("does not say what the repository holds");
  });
});
