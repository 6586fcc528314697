import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { actionSchema, confirmationOf, type Action } from "../../src/model/console-actions.ts";
import { odooPg, printCommand } from "../../src/next-step.ts";
import { actionOf, argumentsOf, planOf, problemOf } from "../../src/console/commands.ts";
import { forPrincipal } from "../../src/console/for-principal.ts";
import { gathered } from "./gathered.ts";
import type { ConsoleDocument } from "../../src/cluster/documents/console.ts";

test.each<[Action, string, string | undefined]>([
  [{ kind: "backup" }, "odoo-pg backup create --all", undefined],
  [{ kind: "backup", database: "shop" }, "odoo-pg backup create shop", undefined],
  [
    { kind: "restore_copy", backup: "shop_20260301_1200", as: "trial", neutralize: false },
    "odoo-pg restore --as=trial shop_20260301_1200",
    undefined,
  ],
  [
    { kind: "restore_copy", backup: "shop_20260301_1200", as: "trial", neutralize: true },
    "odoo-pg restore --as=trial --neutralize shop_20260301_1200",
    undefined,
  ],
  [
    { kind: "restore_upload", upload: "0f0e1b6e-6a0c-4d40-8c3a-2f4f2b7a9c11", as: "sent", neutralize: true },
    "odoo-pg restore --as=sent --neutralize ./0f0e1b6e-6a0c-4d40-8c3a-2f4f2b7a9c11.zip",
    undefined,
  ],
  [
    {
      kind: "restore_moment",
      database: "shop",
      at: "2026-11-21T08:41:07.000Z",
      as: "trial",
      neutralize: false,
    },
    "odoo-pg restore --at=2026-11-21T08:41:07.000Z --as=trial shop",
    undefined,
  ],
  [{ kind: "switchover" }, "odoo-pg switchover", "switchover --dry-run"],
  [{ kind: "switchover", to: "pg2" }, "odoo-pg switchover --to pg2", "switchover --dry-run --to pg2"],
  [{ kind: "reseed", node: "pg2" }, "odoo-pg reseed pg2", "reseed --dry-run pg2"],
  [{ kind: "rejoin", node: "pg1" }, "odoo-pg rejoin pg1", "rejoin --dry-run pg1"],
  [
    { kind: "copy", source: "shop", copy: "my shop's copy", neutralize: true },
    "odoo-pg db copy --neutralize shop 'my shop'\\''s copy'",
    undefined,
  ],
  [{ kind: "copy", source: "shop", copy: "live", neutralize: false }, "odoo-pg db copy shop live", undefined],
  [
    { kind: "refresh_staging", source: "shop", copy: "staging" },
    "odoo-pg db copy --neutralize --replace --confirm=staging shop staging",
    undefined,
  ],
  [
    { kind: "rename_database", database: "shop", to: "store" },
    "odoo-pg db rename --yes shop store",
    undefined,
  ],
  [{ kind: "drop_database", database: "shop" }, "odoo-pg db drop --confirm=shop shop", undefined],
  [{ kind: "prove" }, "odoo-pg backup restore-check", undefined],
  [
    { kind: "prove", backup: "shop_20260301_1200" },
    "odoo-pg backup restore-check shop_20260301_1200",
    undefined,
  ],
  [{ kind: "prove_second" }, "odoo-pg backup verify --any-second", undefined],
  [
    { kind: "accept_setting", setting: "work_mem" },
    "odoo-pg tune --apply --only=work_mem",
    "tune --apply --only=work_mem --dry-run",
  ],
  [
    { kind: "fix", code: "index_invalid" },
    "odoo-pg doctor --fix index_invalid",
    "doctor --fix index_invalid --dry-run",
  ],
  [{ kind: "cancel_session", pid: 7 }, "odoo-pg sessions cancel 7", "sessions cancel --dry-run 7"],
  [{ kind: "terminate_session", pid: 7 }, "odoo-pg sessions terminate 7", "sessions terminate --dry-run 7"],
])("%j is a command, with a plan", (action, command, dryRun) => {
  expect(printCommand(odooPg(...argumentsOf(action)))).toBe(command);
  const plan = planOf(action);
  expect(plan.kind === "dry run" ? plan.args.join(" ") : undefined).toBe(dryRun);
  if (plan.kind === "words") expect(plan.lines.length).toBeGreaterThan(0);
  expect(problemOf(action, "/etc/odoo-pg.yaml")).toBeUndefined();
});

test.each<Action>([
  { kind: "backup" },
  { kind: "backup", database: "-shop" },
  { kind: "prove" },
  { kind: "prove_second" },
  { kind: "switchover", to: "pg2" },
  { kind: "reseed", node: "pg2" },
  { kind: "fix", code: "index_invalid" },
  { kind: "count_statements" },
  { kind: "apply" },
])("the command of %j has a button, which is that action", (action) => {
  expect(actionOf(argumentsOf(action))).toEqual(action);
});

test("a command for which the page has nothing has no button", () => {
  expect(actionOf(["destroy", "--confirm", "odoo"])).toBeUndefined();
  expect(actionOf(["psql", "--", "-c", "DROP DATABASE shop"])).toBeUndefined();
});

const text = fc.oneof(fc.constantFrom("-x", "--all", "--config=/x", "--"), fc.string({ minLength: 1 }));

test("whatever a name is, it is never read as an option of a command", () => {
  fc.assert(
    fc.property(text, text, (one, other) => {
      const actions: readonly [Action, readonly string[]][] = [
        [{ kind: "backup", database: one }, [one]],
        [{ kind: "reseed", node: one }, [one]],
        [{ kind: "copy", source: one, copy: other, neutralize: true }, [one, other]],
        [{ kind: "refresh_staging", source: one, copy: other }, [one, other]],
        [{ kind: "rename_database", database: one, to: other }, [one, other]],
        [{ kind: "drop_database", database: one }, [one]],
      ];
      for (const [action, names] of actions) {
        const args = argumentsOf(action);
        const end = args.indexOf("--");
        const first = args.length - names.length;
        expect(args.slice(first)).toEqual(names);
        if (names.some((name) => name.startsWith("-"))) expect(end).toBe(first - 1);
      }
    }),
  );
});

describe("an action", () => {
  test.each(["/etc/passwd", "../shop_20260301_1200", "shop", "-x_20260301_1200", "./shop_20260301_1200"])(
    "never restores the path %s",
    (backup) => {
      const problem = problemOf({ kind: "restore_copy", backup, as: "trial", neutralize: true }, undefined);
      expect(problem?.message).toContain("is not the id of a backup");
      expect(problem?.next).toEqual([odooPg("backup", "list")]);
    },
  );

  test.each([
    { kind: "destroy" },
    { kind: "cancel_session", pid: "1; DROP" },
    { kind: "cancel_session", pid: -1 },
    { kind: "backup", database: "" },
    { kind: "backup", database: "x".repeat(201) },
    { kind: "switchover", to: "pg2", confirm: "x" },
    {},
    [],
    null,
  ])("is not %j", (order) => {
    expect(actionSchema.safeParse(order).success).toBe(false);
  });

  test("that replaces a node's data needs the node's name typed", () => {
    expect(confirmationOf({ kind: "reseed", node: "pg2" })).toBe("pg2");
    expect(confirmationOf({ kind: "rejoin", node: "pg1" })).toBe("pg1");
    expect(confirmationOf({ kind: "drop_database", database: "shop" })).toBe("shop");
    expect(confirmationOf({ kind: "refresh_staging", source: "shop", copy: "staging" })).toBe("staging");
    expect(confirmationOf({ kind: "switchover" })).toBeUndefined();
  });
});

test("statements and lines of commands are for operators", () => {
  const quiet = gathered("2026-11-22T08:00:00.000Z");
  const document: ConsoleDocument = {
    ...quiet,
    activity: {
      ...quiet.activity,
      long_transactions: [
        {
          pid: 1,
          database: "shop",
          user: "odoo",
          application: "",
          state: "active",
          seconds: 9,
          scheduled_action: false,
          statement: "SELECT secret",
        },
      ],
      slowest_statements: [
        { database: "shop", statement: "SELECT secret", calls: 1, mean_ms: 1, total_seconds: 1 },
      ],
    },
    jobs: [
      {
        id: "1",
        action: { kind: "backup" },
        command: "odoo-pg backup create --all",
        plan: false,
        by: "operator",
        started_at: quiet.at,
        ended_at: null,
        exit_status: null,
        progress: null,
        lines: ["secret"],
      },
    ],
  };
  expect(forPrincipal(document, true)).toEqual(document);
  const seen = forPrincipal(document, false);
  expect(JSON.stringify(seen)).not.toContain("secret");
  expect(seen.activity.slowest_statements).toHaveLength(1);
  expect(seen.jobs).toHaveLength(1);
});
