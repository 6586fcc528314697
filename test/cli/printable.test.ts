import * as fc from "fast-check";
import { expect, test } from "vitest";
import { odooPg } from "../../src/next-step.ts";
import { decide, NO_ALARMS } from "../../src/alarms/decide.ts";
import { headline, plainText } from "../../src/alarms/forms.ts";
import { printable, printableLine, printableWithColours } from "../../src/printable.ts";

const ACTS = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/u;

/** Names as somebody makes them who means harm: a title of the window, the line written over, turned around, a colour. */
const NAMES = [
  "a\u001b]0;owned\u0007",
  "a\rError",
  "a\b\b\b",
  "a\u202egpj.exe",
  "a\u009b31m",
  "a\nDone.",
  "a\u001b[31m",
  "a\u2028b",
];

test("nothing that would act is left in a line; what a JSON document says stays the same", () => {
  for (const name of NAMES) expect(printableLine(name)).not.toMatch(ACTS);
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(printableLine(text)).not.toMatch(ACTS);
      expect(printable(text).replace(/[\n\t]/g, "")).not.toMatch(ACTS);
      const document = JSON.stringify({ [text]: text }, undefined, 2);
      expect(JSON.parse(printable(document))).toEqual({ [text]: text });
    }),
  );
});

test("ordinary text of any script is shown as it is", () => {
  for (const text of ["Ærø «雪» 🦊 नमस्ते שלום", 'C:\\dir "x"', "two\nlines\tand a tab"])
    expect(printable(text)).toBe(text);
});

test("colours that odoo-pg sets are kept, other sequences are not", () => {
  const text = "\u001b[31mbad\u001b[39m \u001b[8mhidden \u001b]0;title\u0007 \u001b[2J";
  expect(printableWithColours(text)).toBe(
    "\u001b[31mbad\u001b[39m \\u001b[8mhidden \\u001b]0;title\\u0007 \\u001b[2J",
  );
});

test("an alarm tells names in mails, chats, logs and documents so that they do nothing there", () => {
  for (const name of NAMES) {
    const subject = `node ${name}`;
    const seen = {
      rule: "node_down",
      subject,
      is: "present",
      text: `${name} is down`,
      next: [odooPg("logs", name)],
    } as const;
    const look = { cluster: "prod", host: "db1", rules: {}, conditions: [seen], changes: [] };
    const first = decide(NO_ALARMS, look, 0);
    const { messages } = decide(first.state, look, 3_600_000);
    const told = messages.filter(({ event }) => event === "begins");
    expect(told).toHaveLength(1);
    for (const message of told) {
      expect(headline(message)).not.toMatch(ACTS);
      expect(message.next).not.toMatch(ACTS);
      expect(JSON.stringify(message.next_step)).not.toMatch(ACTS);
      expect(plainText(message).replaceAll("\n", "")).not.toMatch(ACTS);
    }
  }
});
