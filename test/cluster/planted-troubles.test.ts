import { describe, expect, test } from "vitest";
import { diagnose } from "../../src/advice/doctor/diagnose.ts";
import { doctorDocument } from "../../src/advice/doctor/document.ts";
import { conditionsOf } from "../../src/alarms/conditions.ts";
import { decide, NO_ALARMS } from "../../src/alarms/decide.ts";
import { mail, slackBody, telegramBody } from "../../src/alarms/forms.ts";
import type { AlarmMessage } from "../../src/alarms/message.ts";
import { sheet } from "../../src/cli/cluster/sheet.ts";
import { doctorSheet } from "../../src/cli/watch/doctor-sheet.ts";
import type { StatusDocument } from "../../src/cluster/documents/status.ts";
import { statusOf } from "../../src/cluster/status.ts";
import { resolvedConfigSchema } from "../../src/config/schema.ts";
import { verdictOf } from "../../src/console/gather/verdict.ts";
import type { NextStep } from "../../src/next-step.ts";
import { FAULTS } from "../advice/doctor-faults.ts";
import { mistakeIn } from "../support/command-lines.ts";
import { cluster } from "../support/observations.ts";
import { causes } from "./status-causes.ts";

/** As long as each kind of name may be. */
const NAMES: Readonly<Record<string, string>> = {
  pg1: `pg1_${"n".repeat(27)}`,
  pg2: `pg2_${"n".repeat(27)}`,
  prod: `prod-${"c".repeat(26)}`,
  shop: `shop ${"d".repeat(52)}'"%\u00e9é`,
  nas: `nas-${"p".repeat(27)}`,
  sale_order: `sale_order_${"t".repeat(52)}`,
};
const STATE_DIR = `/srv/${"a_long_folder/".repeat(8)}odoo-pg`;

/** What a restore, a server or a disk may have to say: pages, without a space to break at. */
const CAUSE = Array.from(
  { length: 60 },
  (_, index) => `ALTER TABLE ONLY public.table_${index} ADD CONSTRAINT ${"x".repeat(63)} FOREIGN KEY (id);`,
).join("\n");
const WORDS_OF_OTHERS = ["error", "failure", "refusal", "damage", "problem", "last_failed_wal"];

/** The same facts with names and causes as long as they may be. */
function withLongWords<T>(facts: T): T;
function withLongWords(facts: unknown): unknown {
  if (typeof facts === "string")
    return Object.entries(NAMES).reduce(
      (text, [name, long]) => text.replaceAll(new RegExp(`\\b${name}(?![a-z0-9_])`, "g"), () => long),
      facts.replaceAll(/^\/(var\/lib\/odoo-pg\/prod|state)\b/g, STATE_DIR),
    );
  if (Array.isArray(facts)) return facts.map((one: unknown) => withLongWords(one));
  if (facts instanceof Set) return new Set([...facts].map((one: unknown) => withLongWords(one)));
  if (facts instanceof Map)
    return new Map(
      [...facts].map(([key, value]: [unknown, unknown]) => [withLongWords(key), withLongWords(value)]),
    );
  if (typeof facts !== "object" || facts === null) return facts;
  return Object.fromEntries(
    Object.entries(facts).map(([key, value]: [string, unknown]) => [
      key,
      WORDS_OF_OTHERS.includes(key) && typeof value === "string" ? CAUSE : withLongWords(value),
    ]),
  );
}

/** The lines of each message on a sheet: from its mark to its next step, without the figures behind the code of doctor. */
function messagesOn(text: string, end: RegExp): string[][] {
  const messages: string[][] = [];
  let open = false;
  for (const line of text.split("\n")) {
    if (/^[▲✖◆] /.test(line)) {
      open = true;
      messages.push([]);
    } else if (end.test(line)) open = false;
    if (open) messages.at(-1)?.push(line);
  }
  return messages;
}

function expectShort(messages: readonly (readonly string[])[], width: number): void {
  expect(messages.length).toBeGreaterThan(0);
  for (const lines of messages) {
    expect(lines.length, lines.join("\n")).toBeLessThanOrEqual(3);
    for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(width);
  }
}

function expectTypable(step: NextStep): void {
  const commands = step.filter((part) => typeof part !== "string");
  for (const { program, arguments: args } of commands)
    if (program === "odoo-pg") expect(mistakeIn(args), args.join(" ")).toBeUndefined();
}

/** What is sent of all that rings in a status. */
function alarmsIn(status: StatusDocument): readonly AlarmMessage[] {
  const { alarms: rules } = resolvedConfigSchema.parse({
    cluster: "prod",
    state_dir: "/state",
    listen: ["127.0.0.1"],
  });
  const input = {
    cluster: status.cluster,
    host: "h".repeat(63),
    rules: rules.rules,
    conditions: conditionsOf(status, undefined, rules.rules),
    changes: [],
  };
  const first = decide(NO_ALARMS, input, 0);
  const later = decide(first.state, input, 86_400_000);
  return [...first.messages, ...later.messages];
}

/** A part of a text that is sent: between the headline and what to do. */
const messageIn = (text: string): readonly string[] => {
  const lines = text.split("\n").slice(2);
  return lines.slice(
    0,
    lines.findIndex((line) => line.startsWith("Next: ") || line === ""),
  );
};

const planted = Object.entries(causes).map(
  ([code, { when }]) => [code, statusOf(withLongWords(cluster(when)))] as const,
);

describe("a trouble with the longest names and causes", () => {
  test("is planted more than forty times, of every kind that status and doctor know", () => {
    expect(planted.length + Object.keys(FAULTS).length).toBeGreaterThan(100);
    for (const [code, status] of planted) expect(status.warnings.map((one) => one.code)).toContain(code);
    for (const [code, fault] of Object.entries(FAULTS))
      expect(diagnose(withLongWords(fault)).map((one) => one.code)).toContain(code);
    expect(planted.some(([, status]) => JSON.stringify(status).length > 6000)).toBe(true);
  });

  for (const width of [60, 80]) {
    test.each(planted)(`%s takes three lines of ${width} columns in status at most`, (_, status) => {
      expectShort(messagesOn(sheet(status, { colours: false, width }), /^ {2}Next: /), width);
    });

    test.each(Object.entries(FAULTS))(
      `%s takes three lines of ${width} columns in doctor at most`,
      (_, fault) => {
        const text = doctorSheet(doctorDocument(withLongWords(fault), undefined), { colours: false, width });
        const code = /^ {2}[a-z0-9_]+(:.*)?$/;
        expectShort(messagesOn(text, code), width);
      },
    );
  }

  test.each(planted)(
    "%s takes three lines of 80 columns in a mail, in Slack and in Telegram at most",
    (_, status) => {
      for (const message of alarmsIn(status)) {
        const texts = [
          mail(message, "a@example.com", ["b@example.com"]).text,
          slackBody(message).text,
          String(telegramBody(message, "1")["text"]),
        ];
        expectShort(texts.map(messageIn), 80);
      }
    },
  );

  test("rings more than twenty times among them", () => {
    const rung = new Set(planted.flatMap(([, status]) => alarmsIn(status).map(({ rule }) => rule)));
    expect(rung.size).toBeGreaterThan(20);
  });

  test.each(planted)("%s has a next step that can be typed, in the page too", (_, status) => {
    for (const { next_step: step } of status.warnings) expectTypable(step);
    expectTypable(verdictOf(status).next_step ?? []);
    for (const { next_step: step } of alarmsIn(status)) expectTypable(step ?? []);
  });

  test.each(Object.entries(FAULTS))("%s of doctor has a next step that can be typed", (_, fault) => {
    for (const { next_step: step } of diagnose(withLongWords(fault))) expectTypable(step);
  });
});
