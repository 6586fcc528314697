import { isInWindow } from "../../../src/console/page/model/calendar.ts";
import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { actionSchema, type Action, confirmationOf } from "../../../src/model/console-actions.ts";
import { nextStep, odooPg, type NextStep } from "../../../src/next-step.ts";
import { argumentsOf } from "../../../src/console/commands.ts";
import {
  outcomeOf,
  startedJobs,
  stateOfJob,
  titleOf,
  wordToType,
} from "../../../src/console/page/model/actions.ts";
import { livenessOf } from "../../../src/console/page/model/connection.ts";
import { databaseRows, databasesSummary, matching } from "../../../src/console/page/model/databases.ts";
import { failureOf } from "../../../src/console/page/model/failure.ts";
import {
  eventMarks,
  graphsOf,
  inWords,
  nearest,
  spanName,
  ticks,
  timesBelow,
  topOf,
} from "../../../src/console/page/model/graphs.ts";
import { endpointLines, nodeRows, nodesSummary, successors } from "../../../src/console/page/model/nodes.ts";
import { copyName, recoveryFacts, trackOf } from "../../../src/console/page/model/recovery.ts";
import { secondsTold } from "../../../src/console/page/model/seconds.ts";
import { ago, clock, count, dayName, listing, many, zone } from "../../../src/console/page/model/show.ts";
import { together, otherWarnings, pageTitle } from "../../../src/console/page/model/verdict.ts";
import { fixturesAt } from "./fixtures.ts";

const now = Date.parse("2026-11-22T12:00:00Z");
const { normal, warned, critical, empty, crowded, seconds, secondFailed, samples, job } = fixturesAt(now);
const proofless = { proven_at: null, second: null, seconds: null, databases: null, relations: null };
const before = (seconds: number): string => new Date(now - seconds * 1000).toISOString();

describe("words and figures", () => {
  test("ages, counts and lists read as people write them", () => {
    expect([ago(before(1), now), ago(before(4), now), ago(before(41), now), ago(before(7200), now)]).toEqual([
      "just now",
      "4 s ago",
      "41 s ago",
      "2 h ago",
    ]);
    expect([count(3.44), count(12_400), count(1_234_567), count(0)]).toEqual([
      "3.4",
      "12\u202f400",
      "1\u202f234\u202f567",
      "0",
    ]);
    expect([many(1, "node"), many(3, "node")]).toEqual(["1 node", "3 nodes"]);
    expect([listing([]), listing(["pg2"]), listing(["pg2", "pg3", "pg4"])]).toEqual([
      "nobody",
      "pg2",
      "pg2, pg3 and pg4",
    ]);
  });

  test("what is not known is a question mark", () => {
    expect([ago(null, now), ago("rubbish", now), clock(null, now), count(null)]).toEqual([
      "?",
      "?",
      "?",
      "?",
    ]);
  });

  test("another day than today is named", () => {
    expect(clock(before(60), now)).toMatch(/^\d\d:\d\d$/);
    expect(clock(before(3 * 86_400), now)).toMatch(/^\d+ Nov \d\d:\d\d$/);
    expect([dayName(before(60), now), dayName(before(86_400), now)]).toEqual(["Today", "Yesterday"]);
  });
});

test.each([
  ["UTC", "UTC"],
  ["Europe/Brussels", "UTC+1"],
  ["Asia/Kolkata", "UTC+5:30"],
  ["America/St_Johns", "UTC−3:30"],
])("times are told with the zone of the reader: %s", (name, told) => {
  vi.stubEnv("TZ", name);
  try {
    expect(zone(now)).toBe(told);
  } finally {
    vi.unstubAllEnvs();
  }
});

describe("the connection", () => {
  const open = { open: true, heardAt: 1000, since: 0 };
  test("is live while it is open and the server was heard within 20 s", () => {
    expect(livenessOf(open, 20_900)).toEqual({ live: true, text: "live" });
    expect(livenessOf(open, 22_000)).toEqual({ live: false, text: "not live since 21 s" });
    expect(livenessOf({ ...open, open: false }, 13_400)).toEqual({
      live: false,
      text: "not live since 12 s",
    });
  });
  test("says how long nothing has answered at all", () => {
    expect(livenessOf({ open: false, heardAt: undefined, since: 0 }, 100).text).toBe("connecting …");
    expect(livenessOf({ open: false, heardAt: undefined, since: 0 }, 9000).text).toBe("no answer for 9 s");
  });
});

describe("the verdict", () => {
  test("is not said twice, and nothing else is left out", () => {
    expect(otherWarnings(normal)).toEqual([]);
    expect(otherWarnings(warned).map(({ warning, action }) => [warning.code, action])).toEqual([
      ["disk_filling", null],
    ]);
    expect(otherWarnings(critical).map(({ action }) => action)).toEqual([
      { kind: "backup", database: "shop" },
    ]);
  });
  test("is read at once: when all is well the details come after", () => {
    expect(together(normal.verdict).head).toBe("All is well");
    expect(together(warned.verdict)).toEqual({ head: warned.verdict.sentence, rest: "" });
  });
  test("is in the title, with its shape; a page that is not live claims none", () => {
    expect(pageTitle(critical, true)).toBe("✖ prod · odoo-pg");
    expect(pageTitle(normal, false)).toBe("? prod · odoo-pg");
    expect(pageTitle(undefined, false)).toBe("odoo-pg");
  });
});

describe("recovery", () => {
  test("lies on a line from the oldest backup to now", () => {
    const track = trackOf(normal.recovery, now);
    expect(track?.points[0]).toBe(0);
    expect(track?.points.length).toBe(12);
    expect(track?.proven).toBeCloseTo(1 - 29 / 338);
    expect(trackOf(empty.recovery, now)).toBeUndefined();
  });
  test("says never where there is nothing, and ? where it is not known", () => {
    expect(recoveryFacts(empty.recovery, now).map(({ value }) => value)).toEqual([
      "none",
      "never",
      "nowhere",
      "0 B",
    ]);
    expect(recoveryFacts({ ...normal.recovery, size_bytes: null }, now).at(-1)?.value).toBe("?");
  });
  test("tells which seconds come back, when one last did, and of which kind that proof was", () => {
    const told = secondsTold(seconds, now);
    expect([told?.window.level, told?.proof.level, told?.trouble, told?.before]).toEqual([
      "ok",
      "ok",
      undefined,
      "",
    ]);
    expect(told?.window.text).toMatch(/^Any second from \d+ Nov \d\d:\d\d to now can be brought back\.$/);
    expect(told?.proof.text).toMatch(
      /^Proven 2 days ago: the second \d+ Nov \d\d:\d\d:\d\d came back whole in 41 s\. In 4 databases 3\u202f120 tables and indexes are sound\.$/,
    );
    const { status } = seconds;
    const proven = status.second_proven && { ...status.second_proven, relations: null };
    expect(
      secondsTold({ ...seconds, status: { ...status, second_proven: proven } }, now)?.proof.text,
    ).toMatch(/tables and indexes were not checked, as amcheck is not installed\.$/);
    expect(secondsTold(normal, now)).toBeUndefined();
  });
  test("tells what failed at the last proof of a second, what was proven before, and what cannot come back", () => {
    const told = secondsTold(secondFailed, now);
    expect(told?.proof).toEqual({ level: "warning", text: "The last proof failed 3 h ago." });
    expect(told?.before).toMatch(/^Before that: Proven 2 days ago/);
    expect(told?.trouble?.message).toContain("item order invariant violated");
    expect(told?.window.level).toBe("warning");
    expect(told?.window.text).toMatch(/except \d+ Nov .* to .*, \d+ Nov .* and 1 more gap\.$/);
    const { status } = secondFailed;
    const empty = { from: null, to: null, gaps: [], archiving: true, base_backups: 0 };
    const never = { ...proofless, failed_at: null };
    const begun = secondsTold(
      { ...secondFailed, status: { ...status, warnings: [], window: empty, second_proven: never } },
      now,
    );
    expect([begun?.window.text, begun?.proof]).toEqual([
      "No second can be brought back yet: a base backup is made first.",
      { level: "unknown", text: "No second was brought back yet to prove it." },
    ]);
  });
  test("proposes a name that is free", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("a_copy", "a_copy_2", "a_copy_3", "b")), (taken) => {
        expect(taken).not.toContain(copyName("a", taken, "copy"));
      }),
    );
  });
  test("proposes a name that PostgreSQL takes, however long the database's is", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 63 }), (name) => {
        const first = copyName(name, [], "staging");
        const second = copyName(name, [first], "staging");
        expect(second).not.toBe(first);
        for (const [proposed, end] of [
          [first, "_staging"],
          [second, "_staging_2"],
        ] as const) {
          expect(Buffer.byteLength(proposed)).toBeLessThanOrEqual(Math.max(63, end.length));
          expect(proposed.endsWith(end) && name.startsWith(proposed.slice(0, -end.length))).toBe(true);
        }
      }),
    );
  });
});

describe("nodes", () => {
  test("the primary comes first, each with the worst that is said of it", () => {
    expect(nodeRows(warned, now).map(({ name, level }) => [name, level])).toEqual([
      ["pg1", "warning"],
      ["pg2", "ok"],
      ["pg3", "warning"],
    ]);
    expect(nodeRows(critical, now).map(({ level }) => level)).toEqual(["critical", "ok", "ok"]);
  });
  test("lag, slot and disk are told as status tells them", () => {
    const [pg1, , pg3] = nodeRows(warned, now);
    expect(pg1).toMatchObject({ lag: "–", slot: "–", disk: "88 %", diskLevel: "warning" });
    expect(pg1?.daysLeft).toBe("48 GB free, 9 days left at the pace of the last 18 hours");
    expect(pg3).toMatchObject({
      lag: "212 MB",
      lagTime: "41 s",
      slot: "keeps 3.1 GB",
      reads: "serves no reads",
    });
  });
  test("what is not known is ?, never blank", () => {
    const [pg1, pg2] = nodeRows(critical, now);
    expect(pg1).toMatchObject({ disk: "?", diskUsed: undefined });
    expect(pg2).toMatchObject({ lag: "?", lagTime: "?", slot: "?" });
  });
  test("a node offers what a warning of it names as the next step, whichever that is", () => {
    const [first] = warned.status.warnings;
    const remedies = (next_step: NextStep) => {
      const warnings = first ? [{ ...first, next_step }] : [];
      return nodeRows({ ...warned, status: { ...warned.status, warnings } }, now).map(({ remedy }) => remedy);
    };
    expect(remedies([odooPg("rejoin", "pg3")])).toEqual([undefined, undefined, "rejoin"]);
    expect(remedies(nextStep`Keep it aside: ${odooPg("reseed", "pg3")}`)).toEqual([
      undefined,
      undefined,
      "reseed",
    ]);
    expect(remedies([odooPg("reseed", "pg2")])).toEqual([undefined, undefined, undefined]);
    expect(remedies([odooPg("rejoin", "pg3", "--reseed")])).toEqual([undefined, undefined, undefined]);
  });
  test("endpoints say where they lead, also when that is nowhere", () => {
    expect(endpointLines(warned.status).map(({ leadsTo }) => leadsTo)).toEqual(["pg1", "pg2"]);
    expect(endpointLines(critical.status)[0]).toMatchObject({ leadsTo: "nobody", level: "critical" });
    expect(nodesSummary(normal.status)).toBe("3 nodes, pg2 and pg3 serve reads.");
    expect(successors(critical.status)).toEqual(["pg2", "pg3"]);
  });
});

describe("databases", () => {
  test("those in trouble come first", () => {
    expect(databaseRows(warned, now)[0]).toMatchObject({ name: "sales", actions: "4 late, 1 failed" });
    expect(databaseRows(crowded, now)[0]?.name).toBe("customer34");
  });
  test("a database that is not Odoo's has no Odoo figures and is not copied to staging", () => {
    expect(databaseRows(normal, now).find(({ name }) => name === "warehouse_reports")).toMatchObject({
      odoo: "–",
      actions: "–",
      mail: "–",
      odooDatabase: false,
    });
  });
  test("are found by parts of their names, and counted", () => {
    expect(matching(databaseRows(crowded, now), "CUST 07").map(({ name }) => name)).toEqual(["customer07"]);
    expect(databasesSummary(normal)).toBe("4 databases, 38.2 GB.");
    expect(databasesSummary(critical)).toBe("4 databases.");
    expect(databasesSummary(empty)).toBe("There is no database yet.");
  });
});

describe("graphs", () => {
  const { times, graphs } = graphsOf(samples, now);
  test("have one value for each time, and times that grow", () => {
    for (const { lines } of graphs) for (const { values } of lines) expect(values.length).toBe(times.length);
    expect(times.every((time, index) => index === 0 || time > (times[index - 1] ?? 0))).toBe(true);
  });
  test("leave out the primary's lag and break where nothing was measured", () => {
    expect(graphs[0]?.lines.map(({ label }) => label)).toEqual(["pg2", "pg3"]);
    const gap = times.findIndex((time, index) => (times[index + 1] ?? 0) - time > 3000);
    expect(graphs[2]?.lines[0]?.values[gap]).toBeNull();
  });
  test("take samples in any order, twice, and forget what is older than a day", () => {
    const old = samples.map((sample) => ({
      ...sample,
      at: new Date(Date.parse(sample.at) - 86_500_000).toISOString(),
    }));
    expect(graphsOf([...samples, ...old, ...samples].toReversed(), now).times).toEqual(times);
  });
  test("say in words what they show", () => {
    expect(graphs.map((graph) => inWords(graph, 86_400))[2]).toMatch(
      /^Connections, last 24 hours\. connections: now \d+, at most \d+\.$/,
    );
    expect(inWords({ name: "WAL", lines: [], show: String, top: 1, binary: false }, 86_400)).toMatch(
      /Nothing was measured/,
    );
  });
  test("have at most four round steps from 0 within their scale", () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-3, max: 1e15, noNaN: true }), fc.boolean(), (top, binary) => {
        const values = ticks(top, binary);
        expect(values[0]).toBe(0);
        expect(values.length).toBeLessThanOrEqual(4);
        expect(values.length).toBeGreaterThanOrEqual(2);
        expect(values.at(-1)).toBeLessThanOrEqual(top * 1.001);
      }),
    );
    expect(ticks(100, false)).toEqual([0, 50, 100]);
    expect(ticks(1200, false)).toEqual([0, 500, 1000]);
    expect(ticks(100 * 1024, true)).toEqual([0, 64 * 1024]);
  });
  test("scale to what is highest", () => {
    for (const graph of graphs)
      for (const { values } of graph.lines)
        expect(topOf(graph)).toBeGreaterThanOrEqual(Math.max(...values.map((value) => value ?? 0)));
  });
  test("name round times below, and find the sample under the pointer", () => {
    const names = (span: number): string[] =>
      timesBelow(now / 1000, span).map((time) => new Date(time * 1000).toISOString().slice(14, 16));
    expect(names(86_400).length).toBeGreaterThanOrEqual(3);
    expect(new Set(names(86_400))).toEqual(new Set(["00"]));
    expect(names(3600)).toEqual(["15", "30", "45"]);
    expect([nearest([], 5), nearest([1, 4, 9], 6), nearest([1, 4, 9], 7), nearest([1, 4, 9], 99)]).toEqual([
      undefined,
      1,
      2,
      2,
    ]);
  });
  test("show less than a day while less is known", () => {
    expect(graphsOf(samples, now).span).toBe(86_400);
    const young = graphsOf(samples.slice(-60), now);
    expect([young.span, spanName(young.span)]).toEqual([3 * 3600, "Last 3 hours"]);
    expect(spanName(graphsOf(samples.slice(-2), now).span)).toBe("Last hour");
    expect(graphsOf([], now).span).toBe(86_400);
  });
  test("mark events of the last day once, and no everyday ones", () => {
    const marks = eventMarks(normal.events, now, 86_400);
    expect(marks.map(({ shape }) => shape)).toEqual([
      "backup",
      "backup",
      "backup",
      "change",
      "change",
      "backup",
    ]);
    expect(eventMarks([...normal.events, ...normal.events], now, 86_400).length).toBe(marks.length);
    expect(eventMarks(warned.events, now, 86_400).at(-1)).toMatchObject({
      shape: "trouble",
      text: "pg3 is behind",
    });
  });
});

describe("actions", () => {
  const actions: readonly Action[] = [
    { kind: "backup" },
    { kind: "prove" },
    { kind: "prove_second" },
    { kind: "restore_copy", backup: "b", as: "copy", neutralize: true },
    { kind: "restore_upload", upload: "0f0e1b6e-6a0c-4d40-8c3a-2f4f2b7a9c11", as: "sent", neutralize: true },
    { kind: "restore_moment", database: "a", at: "2026-11-21T08:41:07.000Z", as: "copy", neutralize: true },
    { kind: "switchover", to: "pg2" },
    { kind: "reseed", node: "pg2" },
    { kind: "rejoin", node: "pg1" },
    { kind: "copy", source: "a", copy: "b", neutralize: true },
    { kind: "refresh_staging", source: "a", copy: "b" },
    { kind: "rename_database", database: "a", to: "b" },
    { kind: "drop_database", database: "a" },
    { kind: "accept_setting", setting: "work_mem" },
    { kind: "count_statements" },
    { kind: "fix", code: "index_invalid" },
    { kind: "test_alarms" },
    { kind: "set_alarm", channel: "slack" },
    { kind: "unset_alarm", channel: "slack" },
    {
      kind: "set_mail",
      host: "smtp.example.com",
      security: "tls",
      from: "db@example.com",
      to: "a@example.com",
      password: true,
    },
    { kind: "apply" },
    { kind: "cancel_session", pid: 1 },
    { kind: "terminate_session", pid: 1 },
  ];
  test("all kinds have a title and a command", () => {
    expect(actions.map(({ kind }) => kind)).toEqual(
      actionSchema.options.map(({ shape }) => shape.kind.value),
    );
    for (const action of actions) {
      expect(titleOf(action)).not.toBe("");
      expect(argumentsOf(action).length).toBeGreaterThan(0);
    }
  });
  test("the page asks for the same word as the server", () => {
    for (const action of actions) expect(wordToType(action)).toBe(confirmationOf(action));
  });
  test("a job runs, is done or has failed; a plan is none", () => {
    const run = job({ action: { kind: "backup" }, command: "odoo-pg backup create", started_at: before(12) });
    expect([stateOfJob(run), outcomeOf(run, now)]).toEqual(["running", "Running for 12 s."]);
    const ended = { ...run, ended_at: before(2) };
    expect(outcomeOf({ ...ended, exit_status: 0 }, now)).toBe("Done in 10 s.");
    expect(outcomeOf({ ...ended, exit_status: 75 }, now)).toBe("It ended with status 75 after 10 s.");
    expect(outcomeOf({ ...ended, exit_status: null }, now)).toBe("It ended with status ? after 10 s.");
    expect(startedJobs([run, { ...run, plan: true }])).toEqual([run]);
  });
  test("an error is told with all its parts; whatever else comes, by its status", () => {
    const error = { code: "locked", message: "m", safe: "s" };
    const next = ["n: ", { program: "odoo-pg", arguments: ["status"] }];
    expect(failureOf({ version: 1, error: { ...error, next: "n", next_step: next } }, 409)).toEqual({
      ...error,
      next,
    });
    expect(failureOf({ error: { ...error, next_step: [{ program: 1 }] } }, 409).next).toBeUndefined();
    expect(failureOf("<html>", 502).message).toBe("The console answered with status 502.");
  });
});

describe("a moment that is asked for in the page", () => {
  const window = {
    from: "2026-11-14T01:00:00Z",
    to: "2026-11-21T09:00:00Z",
    gaps: [{ from: "2026-11-16T10:00:00Z", to: "2026-11-16T12:00:00Z" }],
    archiving: true,
    base_backups: 2,
  };
  const now = Date.parse("2026-11-21T09:01:00Z");
  test.each([
    ["2026-11-14T00:59:59Z", false],
    ["2026-11-14T01:00:01Z", true],
    ["2026-11-16T10:00:00Z", true],
    ["2026-11-16T11:00:00Z", false],
    ["2026-11-16T12:00:01Z", true],
    // It is archived when it is asked for.
    ["2026-11-21T09:00:30Z", true],
    ["2026-11-21T09:02:00Z", false],
  ])("%s can be brought back to the second: %s", (at, can) => {
    expect(isInWindow(window, Date.parse(at), now)).toBe(can);
    expect(isInWindow(null, Date.parse(at), now)).toBe(false);
  });

  test("after archiving was given up is not there", () => {
    expect(isInWindow({ ...window, archiving: false }, Date.parse("2026-11-21T09:00:30Z"), now)).toBe(false);
  });
});
