import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { odooPg } from "../../src/next-step.ts";
import {
  alarmsStateSchema,
  decide,
  NO_ALARMS,
  type AlarmsState,
  type AlarmInput,
  type Condition,
} from "../../src/alarms/decide.ts";
import type { AlarmMessage } from "../../src/alarms/message.ts";
import type { AlarmName } from "../../src/model/troubles/troubles.ts";

const START = Date.UTC(2026, 10, 22, 3);

function condition(
  rule: AlarmName,
  is: Condition["is"] = "present",
  subject: string | null = "pg2",
): Condition {
  return { rule, subject, is, text: `${rule} of ${subject ?? "all"}`, next: [odooPg("status")] };
}

/** A cluster that is looked at, second by second. */
class Story {
  state: AlarmsState = NO_ALARMS;
  messages: AlarmMessage[] = [];
  now = START;
  readonly rules: AlarmInput["rules"];
  changes: AlarmInput["changes"] = [];

  constructor(rules: AlarmInput["rules"] = {}) {
    this.rules = rules;
  }

  /** Looks for so many seconds, every five of them; returns what was told meanwhile. */
  input(seconds: number, ...conditions: readonly Condition[]): string[] {
    const before = this.messages.length;
    const end = this.now + seconds * 1000;
    do {
      const { rules, changes } = this;
      const decided = decide(
        this.state,
        { cluster: "prod", host: "db1", rules, conditions, changes },
        this.now,
      );
      this.state = decided.state;
      this.messages.push(...decided.messages);
      this.now += 5000;
    } while (this.now <= end);
    return this.messages.slice(before).map(({ event, rule }) => `${rule} ${event}`);
  }
}

describe("an alarm", () => {
  test("is told once when it has lasted, and once when it has been gone for long enough", () => {
    const story = new Story();
    expect(story.input(55, condition("node_down"))).toEqual([]);
    expect(story.input(600, condition("node_down"))).toEqual(["node_down begins"]);
    expect(story.input(55)).toEqual([]);
    expect(story.input(600)).toEqual(["node_down ends"]);
  });

  test("that flaps within its time tells nothing", () => {
    const story = new Story();
    for (let turn = 0; turn < 20; turn++) {
      expect(story.input(50, condition("node_down"))).toEqual([]);
      expect(story.input(5)).toEqual([]);
    }
    expect(story.input(70, condition("node_down"))).toEqual(["node_down begins"]);
    for (let turn = 0; turn < 20; turn++) {
      expect(story.input(50)).toEqual([]);
      expect(story.input(5, condition("node_down"))).toEqual([]);
    }
  });

  test("of one node is not that of another", () => {
    const story = new Story();
    story.input(70, condition("node_down", "present", "pg2"));
    expect(
      story.input(70, condition("node_down", "present", "pg2"), condition("node_down", "present", "pg3")),
    ).toEqual(["node_down begins"]);
    expect(story.messages.map(({ subject }) => subject)).toEqual(["pg2", "pg3"]);
  });

  test("neither begins nor ends while nobody can see clearly", () => {
    const story = new Story();
    expect(story.input(600, condition("connections_nearly_used", "unclear"))).toEqual([]);
    story.input(70, condition("connections_nearly_used"));
    expect(story.input(600, condition("connections_nearly_used", "unclear"))).toEqual([]);
    expect(story.input(130)).toEqual(["connections_nearly_used ends"]);
  });

  test("that an agent of version 0.1 told under its name of then is not told again", () => {
    const story = new Story();
    story.input(1, condition("backup_too_old"));
    const { alarms } = story.state;
    const before = { ...story.state, alarms: alarms.map((alarm) => ({ ...alarm, rule: "backup_late" })) };
    story.state = alarmsStateSchema.parse(before);
    expect(story.input(60, condition("backup_too_old"))).toEqual([]);
    expect(story.input(60)).toEqual(["backup_too_old ends"]);
  });

  test("begins at once where its rule says so, and tells what to do", () => {
    const story = new Story();
    expect(story.input(0, condition("backup_failed", "present", null))).toEqual(["backup_failed begins"]);
    expect(story.messages[0]).toEqual({
      version: 1,
      id: `prod:backup_failed:-:${START}:begins`,
      event: "begins",
      cluster: "prod",
      host: "db1",
      rule: "backup_failed",
      severity: "warning",
      subject: null,
      text: "backup_failed of all",
      next: "odoo-pg status",
      next_step: [odooPg("status")],
      more: "odoo-pg status --full",
      at: "2026-11-22T03:00:00.000Z",
      since: "2026-11-22T03:00:00.000Z",
      on: { critical: 0, warning: 1 },
    });
  });

  test("names its commands as they are typed on that host, for its configuration", () => {
    const input = {
      cluster: "prod",
      host: "db1",
      rules: {},
      conditions: [condition("backup_failed", "present", null)],
      changes: [],
      configFile: "/etc/my prod.yaml",
      called: "/clone/dist/odoo-pg",
    };
    expect(decide(NO_ALARMS, input, START).messages[0]).toMatchObject({
      next: "/clone/dist/odoo-pg status --config '/etc/my prod.yaml'",
      next_step: [{ ...odooPg("status"), config: "/etc/my prod.yaml" }],
      more: "/clone/dist/odoo-pg status --full --config '/etc/my prod.yaml'",
    });
  });

  test("that ends says for how long it was, and what is still on", () => {
    const story = new Story();
    story.input(30, condition("primary_down"), condition("backup_too_old", "present", null));
    story.input(600, condition("backup_too_old", "present", null));
    expect(story.messages.at(-1)).toMatchObject({
      event: "ends",
      rule: "primary_down",
      text: "Over after 50 s: primary_down of pg2",
      next: null,
      next_step: null,
      on: { critical: 0, warning: 1 },
    });
  });

  test("can be told later, or not at all, by the configuration", () => {
    const story = new Story({ node_down: { after_seconds: 600 }, pool_empty: { enabled: false } });
    const both = [condition("node_down"), condition("pool_empty", "present", null)];
    expect(story.input(590, ...both)).toEqual([]);
    expect(story.input(20, ...both)).toEqual(["node_down begins"]);
  });

  test("that is turned off while it is on ends", () => {
    const story = new Story();
    story.input(70, condition("node_down"));
    const off = new Story({ node_down: { enabled: false } });
    Object.assign(off, { state: story.state, now: story.now });
    expect(off.input(70, condition("node_down"))).toEqual(["node_down ends"]);
  });

  test("begins no sooner when the clock is set back, and not never", () => {
    const story = new Story();
    story.input(30, condition("node_down"));
    story.now -= 3_600_000;
    expect(story.input(50, condition("node_down"))).toEqual([]);
    expect(story.input(20, condition("node_down"))).toEqual(["node_down begins"]);
  });
});

describe("an event", () => {
  const change = { at: new Date(START + 7000).toISOString(), to: "pg2", text: "pg2 is the primary now" };

  test("is told once", () => {
    const story = new Story();
    story.input(10);
    story.changes = [change];
    expect(story.input(60)).toEqual(["switchover happened"]);
    expect(story.messages[0]).toMatchObject({ subject: "pg2", text: "pg2 is the primary now" });
  });

  test("of before the first look is no news", () => {
    const story = new Story();
    story.changes = [change];
    expect(story.input(60)).toEqual([]);
  });

  test("tells that no agent looked, unless it was told to end", () => {
    const story = new Story();
    story.input(120);
    story.now += 3_600_000;
    expect(story.input(60)).toEqual(["agent_away happened"]);
    expect(story.messages[0]?.text).toMatch(
      /^No agent was running for 60 min, from 2026-11-22 03:02 UTC to 2026-11-22 04:02 UTC/,
    );
    story.state = { ...story.state, looked_at: null };
    story.now += 3_600_000;
    expect(story.input(60)).toEqual([]);
  });
});

describe("whatever happens", () => {
  const rules = ["primary_down", "node_down", "backup_failed", "connections_nearly_used"] as const;
  const seen = fc.record({
    rule: fc.constantFrom(...rules),
    subject: fc.constantFrom("pg1", "pg2", null),
    is: fc.constantFrom("present" as const, "unclear" as const),
  });
  const inputs = fc.array(
    fc.record({
      seconds: fc.integer({ min: 1, max: 90 }),
      conditions: fc.uniqueArray(seen, { selector: ({ rule, subject }) => `${rule} ${subject}` }),
      /** The agent is killed and started again: all that is left is its file. */
      killed: fc.boolean(),
    }),
    { maxLength: 120 },
  );

  test("begins and ends of an alarm take turns, and each is told of what was seen", () => {
    fc.assert(
      fc.property(inputs, (days) => {
        let state = NO_ALARMS;
        let now = START;
        const last = new Map<string, string>();
        const on = new Set<string>();
        for (const { seconds, conditions, killed } of days) {
          now += seconds * 1000;
          if (killed) state = alarmsStateSchema.parse(JSON.parse(JSON.stringify(state)));
          const input = conditions.map(({ rule, subject, is }) => condition(rule, is, subject));
          const decided = decide(
            state,
            {
              cluster: "prod",
              host: "db1",
              rules: { agent_away: { enabled: false } },
              conditions: input,
              changes: [],
            },
            now,
          );
          state = decided.state;
          for (const { rule, subject, event } of decided.messages) {
            const key = `${rule} ${subject}`;
            const there = conditions.find((one) => `${one.rule} ${one.subject}` === key);
            expect(last.get(key) ?? "ends").not.toBe(event);
            // Only what is there now begins; only what is not there now ends.
            expect(there?.is).toBe(event === "begins" ? "present" : undefined);
            last.set(key, event);
            if (event === "begins") on.add(key);
            else on.delete(key);
          }
          // What was told to be on is remembered, and nothing else.
          expect(
            state.alarms
              .filter(({ told_at }) => told_at !== null)
              .map(({ rule, subject }) => `${rule} ${subject}`)
              .sort(),
          ).toEqual([...on].sort());
        }
      }),
      { numRuns: 300 },
    );
  });

  test("an alarm that never lasts as long as its rule asks is never told", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 11 }), fc.integer({ min: 1, max: 50 }))),
        (turns) => {
          const story = new Story();
          // At most 55 s at a time, and gone at the next look.
          for (const [there, gone] of turns) {
            story.input((there - 1) * 5, condition("node_down"));
            story.input((gone - 1) * 5);
          }
          expect(story.messages).toEqual([]);
        },
      ),
    );
  });
});
