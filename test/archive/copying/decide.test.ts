import { describe, expect, test } from "vitest";
import {
  baseProblem,
  foldersOf,
  lackingIn,
  leavesRoom,
  nextBase,
  standingOf,
} from "../../../src/archive/copying/decide.ts";
import {
  basesIn,
  stanzaInfo,
  type InfoBase,
  type StanzaInfo,
} from "../../../src/archive/copying/info-text.ts";
import { isPathWithin, liesIn, MOST_PARTS, walFile } from "../../../src/archive/copying/names.ts";
import {
  isAllowed,
  isNewer,
  limitsOfCopy,
  limitsOfPrimary,
  type WalLimits,
} from "../../../src/archive/copying/limits.ts";
import { baseAnswerSchema, MOST_BASE_FILES } from "../../../src/archive/copying/protocol.ts";
import { floorsOf, isFolderWanted, retained } from "../../../src/archive/copying/retained.ts";

const DAY = 86_400_000;
const NOW = Date.parse("2026-11-29T12:00:00Z");
const A = "a".repeat(40);
const B = "b".repeat(40);
const FOLDER = "15-1/0000000100000000";

function segment(number: number, checksum = A): string {
  return `00000001000000000000000${number}-${checksum}.zst`;
}

function base(label: string, daysAgo: number, archiveStart = "000000010000000000000002"): InfoBase {
  return { label, stoppedAt: NOW - daysAgo * DAY, archiveStart, databaseId: 1 };
}

const [F1, F2, F3] = ["20261101-010000F", "20261115-010000F", "20261122-010000F"] as const;
const [D2, D3] = [`${F2}_20261116-010000D`, `${F3}_20261123-010000D`] as const;
const ALL = [base(F1, 28), base(F2, 14), base(D2, 13), base(F3, 6.5), base(D3, 5.5)];

describe("names", () => {
  test.each([
    [segment(1), FOLDER],
    [`000000010000000000000001-${A}`, FOLDER],
    [`000000010000000000000001.partial-${A}.gz`, FOLDER],
    ["000000010000000000000002.00000028.backup", FOLDER],
    ["00000002.history", "15-1"],
  ])("%s lies in %s", (name, folder) => expect(liesIn(name, folder)).toBe(true));

  test.each([
    [segment(1), "15-1"],
    [segment(1), "15-1/0000000200000000"],
    [segment(1), "15-1/../0000000100000000"],
    [`${segment(1)}.pgbackrest.tmp`, FOLDER],
    [`../${segment(1)}`, FOLDER],
    ["00000002.history", FOLDER],
    ["archive.info", "15-1"],
    [`000000010000000000000001-${A}.zst\n`, FOLDER],
    ["", FOLDER],
  ])("%j does not lie in %s", (name, folder) => expect(liesIn(name, folder)).toBe(false));

  test("of a base backup stay within it", () => {
    for (const path of ["backup.manifest", "bundle/1", "pg_data/base/5/my notes (1).txt.zst"])
      expect(isPathWithin(path)).toBe(true);
    for (const path of ["", ".", "..", "../x", "a/../b", "/a", "a//b", "a/", "a\0b", "a\nb", "x".repeat(256)])
      expect(isPathWithin(path)).toBe(false);
    expect(isPathWithin(Array.from({ length: MOST_PARTS }, () => "a").join("/"))).toBe(true);
    expect(isPathWithin(Array.from({ length: MOST_PARTS + 1 }, () => "a").join("/"))).toBe(false);
    expect(isPathWithin(`${"a/".repeat(500)}a`)).toBe(false);
  });
});

describe("info files", () => {
  const archive = `[backrest]\nbackrest-format=5\nbackrest-version="2.45"\n\n[db]\ndb-id=2\ndb-system-id=7713628528103308371\ndb-version="17"\n\n[db:history]\n1={"db-id":7713628528103308370,"db-version":"15"}\n2={"db-id":7713628528103308371,"db-version":"17"}\n\n[backrest]\nbackrest-checksum="${A}"\n`;

  test("tell which PostgreSQL they are for, to the last digit", () => {
    expect(stanzaInfo(archive)).toEqual({
      id: 2,
      databases: [
        { id: 1, systemIdentifier: "7713628528103308370", version: "15" },
        { id: 2, systemIdentifier: "7713628528103308371", version: "17" },
      ],
    });
  });

  test("that are cut off, encrypted or something else tell nothing", () => {
    expect(stanzaInfo(archive.slice(0, -20))).toBeUndefined();
    expect(stanzaInfo("Salted__\u0001\u0002")).toBeUndefined();
    expect(stanzaInfo("")).toBeUndefined();
    expect(stanzaInfo(archive.replace("db-id=2", "db-id=3"))).toBeUndefined();
  });

  test("name base backups, without what has no such name", () => {
    const line = (label: string, start: string) =>
      `${label}={"backup-archive-start":${start},"backup-timestamp-stop":1795969099,"db-id":1}\n`;
    const text = `[backup:current]\n${line(F1, '"000000010000000000000002"')}${line("../x", "null")}${line(D2, "null")}${F3}=}\n\n[db]\n`;
    expect(basesIn(text)).toEqual([
      { label: F1, stoppedAt: 1_795_969_099_000, archiveStart: "000000010000000000000002", databaseId: 1 },
      { label: D2, stoppedAt: 1_795_969_099_000, archiveStart: undefined, databaseId: 1 },
    ]);
  });
});

describe("what becomes of the own repository", () => {
  const of = (id: number, ...systemIdentifiers: string[]): StanzaInfo => ({
    id,
    databases: systemIdentifiers.map((systemIdentifier, index) => ({
      id: index + 1,
      systemIdentifier,
      version: "15",
    })),
  });
  const both = (info: StanzaInfo) => ({ archive: info, backup: info });
  const own = (info: StanzaInfo | undefined, holdsAnything = true) => ({
    archive: info,
    backup: info,
    holdsAnything,
  });

  test("a missing one begins; what is there without info files goes aside", () => {
    expect(standingOf(own(undefined, false), both(of(1, "7")), "7")).toBe("begin");
    expect(standingOf(own(undefined), both(of(1, "7")), "7")).toBe("aside");
    expect(standingOf({ ...own(of(1, "7"), false), backup: undefined }, both(of(1, "7")), "7")).toBe("begin");
  });

  test("the same cluster's stays, also where it was begun here", () => {
    expect(standingOf(own(of(1, "7")), both(of(1, "7")), "7")).toBe("same");
  });

  test("this cluster's never goes aside, whatever the source says of it", () => {
    for (const said of [of(2, "8", "7"), of(2, "7", "7"), of(1, "7", "8")])
      expect(standingOf(own(of(1, "7")), both(said), "7")).not.toMatch(/aside|older|begin/);
    expect(standingOf(own(of(1, "7")), both(of(2, "8", "7")), "7")).toBe("unfit");
    expect(standingOf(own(of(2, "6", "7")), both(of(1, "7")), "7")).toBe("unfit");
  });

  test("another cluster's goes aside, an upgraded one is taken on", () => {
    expect(standingOf(own(of(1, "8")), both(of(1, "7")), "7")).toBe("aside");
    expect(standingOf(own(of(1, "6")), both(of(2, "6", "7")), "7")).toBe("older");
    expect(standingOf(own(of(2, "6", "7")), both(of(2, "6", "7")), "7")).toBe("same");
  });

  test("nothing makes a source be taken that is of another cluster", () => {
    expect(standingOf(own(undefined, false), both(of(1, "8")), "7")).toBe("foreign");
    expect(standingOf(own(of(1, "8")), both(of(1, "8")), "7")).toBe("foreign");
    expect(standingOf(own(of(1, "7")), { archive: of(1, "7"), backup: of(1, "8") }, "7")).toBe("foreign");
    expect(standingOf(own(of(2, "6", "7")), both(of(1, "6")), "7")).toBe("foreign");
  });
});

describe("what a folder of WAL lacks", () => {
  const listed = [segment(3), segment(1), segment(2)].map(
    (name) => [name, 10, 1] as [string, number, number],
  );
  const names = (own: readonly string[], floor = "", list = listed) =>
    lackingIn(FOLDER, list, own, floor).files.map(([name]) => name);

  test("comes oldest first, but for what is here or older than any base backup", () => {
    expect(names([])).toEqual([segment(1), segment(2), segment(3)]);
    expect(names([segment(2)])).toEqual([segment(1), segment(3)]);
    expect(names([], "000000010000000000000002")).toEqual([segment(2), segment(3)]);
    expect(names([], "000000020000000000000001")).toEqual([]);
  });

  test("never is a second file of a segment: pgBackRest would read neither", () => {
    const compressed = segment(1).replace(".zst", ".gz");
    expect(lackingIn(FOLDER, [[compressed, 1, 1]], [segment(1)], "")).toMatchObject({
      files: [],
      conflicts: [],
    });
    expect(lackingIn(FOLDER, [[segment(1, B), 1, 1]], [segment(1)], "")).toMatchObject({
      files: [],
      conflicts: [{ key: "000000010000000000000001", here: A, there: B }],
    });
    const twice: [string, number, number][] = [
      [segment(1, B), 1, 1],
      [segment(1), 1, 1],
    ];
    expect(names([], "", twice)).toEqual([segment(1)]);
    // With the end of a timeline it is another thing.
    expect(names([`000000010000000000000001.partial-${B}.zst`], "", twice)).toEqual([segment(1)]);
  });

  test("is only what lies there", () => {
    expect(
      names([], "", [
        ["../../x", 1, 1],
        ["00000002.history", 1, 1],
      ]),
    ).toEqual([]);
  });
});

describe("WAL that another host cannot have", () => {
  const MB = 1024 * 1024;
  const history =
    "1\t0/5000028\tno recovery target specified\n\n2\t0/7000060\tno recovery target specified\n";
  const name = (timeline: number, number: number, more = ""): string =>
    `0000000${timeline}0000000000${number.toString(16).toUpperCase().padStart(6, "0")}${more}`;
  const allows = (limits: WalLimits, key: string): boolean =>
    isAllowed(walFile(fileOf(key)) ?? never(), limits);
  const fileOf = (key: string): string => (/history|backup/.test(key) ? key : `${key}-${A}.zst`);
  const never = (): never => {
    throw new Error("no file of WAL");
  };

  test("a new primary takes what was before its own timeline, and nothing that it writes itself", () => {
    const limits = limitsOfPrimary(3, history, 16 * MB);
    for (const key of [
      name(1, 1),
      name(1, 5),
      name(2, 6),
      name(2, 7),
      "00000002.history",
      name(1, 5, ".partial"),
    ])
      expect([key, allows(limits, key)]).toEqual([key, true]);
    for (const key of [
      name(1, 6),
      name(2, 8),
      name(2, 7, ".partial"),
      name(3, 1),
      name(3, 7),
      name(9, 1),
      "00000003.history",
      "0000FFFF.history",
      name(3, 8, ".00000028.backup"),
      "00000001000000000000FFFF",
    ])
      expect([key, allows(limits, key)]).toEqual([key, false]);
    // Of the first timeline there is nothing before; and without a history nothing is known.
    for (const none of [limitsOfPrimary(1, undefined, 16 * MB), limitsOfPrimary(3, undefined, 16 * MB)])
      expect(allows(none, name(1, 1))).toBe(false);
  });

  test("a copy takes no timeline that its own server does not know, and nothing far ahead of that", () => {
    const limits = limitsOfCopy(2, 0x5000028n, 16 * MB);
    for (const key of [name(1, 5), name(2, 6), name(2, 200), "00000002.history"])
      expect([key, allows(limits, key)]).toEqual([key, true]);
    for (const key of [name(3, 5), "00000003.history", "000000010000000A00000001"])
      expect([key, allows(limits, key)]).toEqual([key, false]);
    expect(isNewer("15-1/0000000300000000", limits)).toBe(true);
    expect(isNewer("15-1/0000000200000000", limits)).toBe(false);
    expect(isNewer("15-1", limits)).toBe(false);
    expect(isNewer("15-1/0000000300000000", undefined)).toBe(false);
  });

  test("has no bytes, or more than a segment has: it is named, and not taken", () => {
    const listed: [string, number, number][] = [
      [segment(1), 0, 1],
      [segment(2), 18 * MB, 1],
      [segment(3), 16 * MB + 100, 1],
      ["000000010000000000000004.00000028.backup", 2 * MB, 1],
      [segment(5), 1, 1],
    ];
    const limits = { ...limitsOfCopy(1, 0n, 16 * MB), end: 0x4000000n };
    const found = lackingIn(FOLDER, listed, [], "", limits);
    expect(found.files.map(([file]) => file)).toEqual([segment(3)]);
    expect(found.wrong).toEqual([
      "000000010000000000000001",
      "000000010000000000000002",
      "000000010000000000000004.00000028.backup",
    ]);
    expect(found.beyond).toEqual(["000000010000000000000005"]);
    expect(lackingIn(FOLDER, [[segment(1), 0, 1]], [], "").wrong).toHaveLength(1);
  });
});

describe("base backups", () => {
  test("that expiry would remove are not copied: they would come back each time", () => {
    const labels = (days: number) => retained(ALL, days, NOW).map(({ label }) => label);
    expect(labels(7)).toEqual([F2, D2, F3, D3]);
    expect(labels(14.5)).toEqual([F1, F2, D2, F3, D3]);
    expect(labels(6)).toEqual([F3, D3]);
    expect(retained([base(D3, 1)], 7, NOW)).toEqual([]);
  });

  test("come newest full one first, and what belongs to one that is here", () => {
    const order: string[] = [];
    const here = new Set<string>();
    for (let next = nextBase(ALL, here); next; next = nextBase(ALL, here)) {
      order.push(next.label);
      here.add(next.label);
    }
    expect(order).toEqual([F3, D3, F2, D2, F1]);
  });

  test("say from where on WAL is wanted", () => {
    const info = {
      id: 2,
      databases: [
        { id: 1, systemIdentifier: "6", version: "15" },
        { id: 2, systemIdentifier: "7", version: "17" },
      ],
    };
    const floors = floorsOf(info, [base(F2, 1, "000000020000000000000009"), base(F1, 1)]);
    expect([...floors]).toEqual([
      ["15-1", "000000010000000000000002"],
      ["17-2", ""],
    ]);
    expect(isFolderWanted("15-1/0000000100000000", floors)).toBe(true);
    expect(isFolderWanted("15-1", floors)).toBe(true);
    expect(isFolderWanted("9.6-1/0000000100000000", floors)).toBe(false);
    expect([...floorsOf(info, [])]).toEqual([["17-2", ""]]);
  });

  test("are not what cannot be whole", () => {
    expect(
      baseProblem([
        ["backup.manifest", 1, 1],
        ["bundle/1", 1, 1],
      ]),
    ).toBeUndefined();
    expect(baseProblem([["bundle/1", 1, 1]])).toBe("has no manifest");
    expect(
      baseProblem([
        ["backup.manifest", 1, 1],
        ["backup.manifest", 2, 1],
      ]),
    ).toBe("names a file twice");
    expect(
      baseProblem([
        ["backup.manifest", 1, 1],
        ["a", 1, 1],
        ["a/b", 1, 1],
      ]),
    ).toBe("names a file as a folder");
  });

  test("of as many files and folders as may be are looked through at once, and of no more", () => {
    const deep = Array.from({ length: MOST_PARTS - 2 }, () => "d".repeat(60)).join("/");
    const files = Array.from({ length: MOST_BASE_FILES - 1 }, (_, index): [string, number, number] => [
      `${deep}/${index % 1000}/${index}`,
      1,
      1,
    ]);
    const all: typeof files = [["backup.manifest", 1, 1], ...files];
    const begun = process.cpuUsage();
    expect(foldersOf(all).size).toBe(MOST_PARTS - 2 + 1000);
    expect(baseProblem(all)).toBeUndefined();
    // All strings for each file took minutes.
    expect(process.cpuUsage(begun).user / 1000).toBeLessThan(10_000);
    expect(baseAnswerSchema.safeParse({ files: all }).success).toBe(true);
    expect(baseAnswerSchema.safeParse({ files: [...all, ["more", 1, 1]] }).success).toBe(false);
    expect(baseProblem(all.map(([path], index) => [index ? `${index}/${path.slice(-9)}` : path, 1, 1]))).toBe(
      "has more folders than can be",
    );
  });
});

test("a disk keeps room: most of it where the data lies on it, too", () => {
  const disk = { totalBytes: 1000, freeBytes: 200 };
  expect(leavesRoom(150, disk, false)).toBe(true);
  expect(leavesRoom(151, disk, false)).toBe(false);
  expect(leavesRoom(40, disk, true)).toBe(true);
  expect(leavesRoom(60, disk, true)).toBe(false);
});
