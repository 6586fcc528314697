import type { Mail } from "../system/network/smtp.ts";
import { oneLine } from "../printable.ts";
import { briefly, wrapAll } from "../wrap.ts";
import type { AlarmMessage } from "./message.ts";

/** What each kind of receiver gets. Pure. */

const EVENTS = { begins: "begins", ends: "is over", happened: "happened", test: "test" } as const;

/** One line: `[prod] CRITICAL begins: primary_down (pg1)`. */
export function headline({ cluster, event, severity, rule, subject }: AlarmMessage): string {
  const weight = event === "begins" || event === "happened" ? `${severity.toUpperCase()} ` : "";
  return `[${cluster}] ${weight}${EVENTS[event]}: ${rule}${subject === null ? "" : ` (${subject})`}`;
}

/** Characters of a line of a mail. Source: RFC 5322, 2.1.1, which advises 78. */
const WIDTH = 78;

/** The headline, what is so, what to do, and how many other alarms are on. */
export function plainText(message: AlarmMessage): string {
  const { text, next, more, host, at, since, on } = message;
  const others = [
    ...(on.critical ? [`${on.critical} critical`] : []),
    ...(on.warning ? [`${on.warning} ${on.warning === 1 ? "warning" : "warnings"}`] : []),
  ];
  // What a server or a restore has to say may be pages long.
  const lines = wrapAll(oneLine(text), WIDTH);
  const shown = briefly(lines, WIDTH);
  return [
    headline(message),
    "",
    ...shown,
    ...(next === null ? [] : [`Next: ${next}`]),
    ...(shown.length < lines.length ? ["", `More: ${more}`] : []),
    "",
    `On host ${host}, at ${at}${message.event === "begins" ? `, since ${since}` : ""}.`,
    `Alarms that are on now: ${others.join(", ") || "none"}.`,
  ].join("\n");
}

/** Characters that are sent at most: Telegram takes 4096, Slack advises 4000. */
const LONGEST = 3500;

function shortened(text: string): string {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)} …`;
}

/** Source: Slack, "Sending messages using incoming webhooks" and "Formatting text": three characters are escaped. */
export function slackBody(message: AlarmMessage): { text: string } {
  const text = shortened(plainText(message));
  return { text: text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;") };
}

/** Source: Telegram Bot API, sendMessage. Without parse_mode the text is plain. */
export function telegramBody(message: AlarmMessage, chat: string): Readonly<Record<string, unknown>> {
  return { chat_id: chat, text: shortened(plainText(message)), disable_web_page_preview: true };
}

/**
 * What a ping to healthchecks.io says, as the end of its path: `/fail` turns the check red at once, a plain ping turns
 * it green, `/log` is kept and changes nothing. It is green exactly while no critical alarm is on.
 * Source: healthchecks.io, "Pinging API".
 */
export function healthchecksSignal({ event, severity, on }: AlarmMessage): "" | "/fail" | "/log" {
  if (severity !== "critical" || event === "test" || event === "happened") return "/log";
  if (event === "begins") return "/fail";
  return on.critical === 0 ? "" : "/log";
}

/** The ping address with a signal behind its path; what follows "?" stays. */
export function pingAddress(address: string, signal: string): string {
  const url = new URL(address);
  url.pathname = url.pathname.replace(/\/$/, "") + signal;
  return url.href;
}

/** What a mail says, with a Message-ID that no name of a node or channel can break. */
export function mail(message: AlarmMessage, from: string, to: readonly string[]): Mail {
  const domain = from.slice(from.lastIndexOf("@") + 1);
  const id = Buffer.from(`${message.id}:${message.at}`).toString("base64url");
  return {
    from,
    to,
    subject: headline(message),
    text: plainText(message),
    messageId: `<${id}@${domain}>`,
    date: new Date(message.at),
  };
}
