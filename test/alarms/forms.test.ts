import { describe, expect, test } from "vitest";
import {
  headline,
  healthchecksSignal,
  mail,
  pingAddress,
  plainText,
  slackBody,
  telegramBody,
} from "../../src/alarms/forms.ts";
import { composed } from "../../src/system/network/smtp.ts";
import type { AlarmMessage } from "../../src/alarms/message.ts";
import { PRIMARY_DOWN } from "./primary-down.ts";

const message: AlarmMessage = { ...PRIMARY_DOWN, on: { critical: 1, warning: 2 } };

test("the plain text says what is so, what to do, where, when, and what else is on", () => {
  expect(plainText(message)).toBe(
    [
      "[prod] CRITICAL begins: primary_down (pg1)",
      "",
      "pg1, the primary, is not running: nothing can be written.",
      "Next: odoo-pg logs pg1",
      "",
      "On host db1, at 2026-11-22T03:00:15.000Z, since 2026-11-22T03:00:00.000Z.",
      "Alarms that are on now: 1 critical, 2 warnings.",
    ].join("\n"),
  );
  expect(headline({ ...message, event: "ends", subject: null })).toBe("[prod] is over: primary_down");
});

test("a text that is too long is cut, and the command that shows all of it can be typed wherever one is", () => {
  const text = plainText({ ...message, text: "word ".repeat(200) }).split("\n");
  expect(text.findIndex((line) => line.startsWith("Next: "))).toBe(5);
  expect(text[4]).toMatch(/ …$/);
  expect(text).toContain("More: /clone/dist/odoo-pg status --full");
  expect(plainText(message)).not.toContain("More: ");
});

test("Slack gets its three special characters escaped, Telegram gets plain text, both of a bounded length", () => {
  const odd = { ...message, text: "a < b & c > d" };
  expect(slackBody(odd).text).toContain("a &lt; b &amp; c &gt; d");
  expect(telegramBody(odd, "-100123")).toMatchObject({
    chat_id: "-100123",
    text: expect.stringContaining("a < b & c > d"),
  });
  const long = { ...message, text: "x".repeat(100_000) };
  expect(String(telegramBody(long, "1")["text"]).length).toBeLessThan(4096);
  expect(slackBody(long).text.length).toBeLessThan(4096);
});

describe("a check at healthchecks.io", () => {
  const signal = (changes: Partial<AlarmMessage>): string => healthchecksSignal({ ...message, ...changes });

  test("turns red with a critical alarm, and green when the last of them is over", () => {
    expect(signal({})).toBe("/fail");
    expect(signal({ event: "ends", on: { critical: 1, warning: 0 } })).toBe("/log");
    expect(signal({ event: "ends", on: { critical: 0, warning: 3 } })).toBe("");
  });

  test("keeps its colour with warnings, events and tests", () => {
    expect(signal({ severity: "warning" })).toBe("/log");
    expect(signal({ severity: "warning", event: "ends" })).toBe("/log");
    expect(signal({ event: "happened" })).toBe("/log");
    expect(signal({ event: "test" })).toBe("/log");
  });

  test("is pinged behind the path of its address", () => {
    expect(pingAddress("https://hc-ping.com/uuid", "/fail")).toBe("https://hc-ping.com/uuid/fail");
    expect(pingAddress("https://hc-ping.com/key/slug/?create=1", "/log")).toBe(
      "https://hc-ping.com/key/slug/log?create=1",
    );
  });
});

test("a mail keeps lines short and headers in ASCII, whatever an alarm says", async () => {
  const subject = "größe\r\nBcc: c@example.com".repeat(20);
  const alarm = { ...message, subject, text: "ü".repeat(500) };
  const bytes = await composed(mail(alarm, "odoo-pg@example.com", ["a@example.com", "b@example.com"]));
  const text = bytes.toString("latin1");
  const lines = text.split("\r\n");
  expect(lines.every((line) => line.length <= 78 || line.startsWith(" <"))).toBe(true);
  expect(/^[\x20-\x7e\r\n]*$/.test(text)).toBe(true);
  expect(/(?<!\r)\n/.test(text)).toBe(false);
  expect(text).toContain("To: a@example.com, b@example.com\r\n");
  expect(text).toContain("Date: Sun, 22 Nov 2026 03:00:15 +0000\r\n");
  expect(lines.filter((line) => line.startsWith("Bcc"))).toEqual([]);
});
