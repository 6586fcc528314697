import type { Config } from "../config/schema.ts";
import { readTextIfAny } from "../system/files/files.ts";
import { postJson, postText } from "../system/network/http.ts";
import { run } from "../system/process/process.ts";
import { healthchecksSignal, mail, pingAddress, plainText, slackBody, telegramBody } from "./forms.ts";
import { messageOf } from "../errors.ts";
import type { AlarmMessage } from "./message.ts";

/** Milliseconds that a channel may take for one message. */
export const DELIVERY_TIMEOUT = 15_000;

export type ChannelName = "webhook" | "slack" | "telegram" | "healthchecks" | "mail" | "command";

/** A way to send alarms. An error says why it failed, without any secret. */
export interface Channel {
  readonly name: ChannelName;
  /** Delivers one message within DELIVERY_TIMEOUT, and says what was not quite right. @throws Error */
  readonly deliver: (message: AlarmMessage) => Promise<string | undefined>;
  /** Says that all is well to a receiver that expects it: a dead man's switch. @throws Error */
  readonly alive?: (text: string) => Promise<void>;
}

/** The channels of the configuration. Their files are read for each message. */
export function channelsOf({ alarms }: Pick<Config, "alarms">): Channel[] {
  const { webhook_file, slack_file, telegram_file, healthchecks_file, mail: mailing, command } = alarms;
  const [program, ...args] = command;
  return [
    ...(webhook_file === undefined ? [] : [webhook(webhook_file)]),
    ...(slack_file === undefined ? [] : [slack(slack_file)]),
    ...(telegram_file === undefined ? [] : [telegram(telegram_file)]),
    ...(healthchecks_file === undefined ? [] : [healthchecks(healthchecks_file)]),
    ...(mailing === undefined ? [] : [mailChannel(mailing)]),
    ...(program === undefined ? [] : [commandChannel(program, args)]),
  ];
}

/** Files that hold the secrets of the channels. */
export function secretFilesOf({ alarms }: Pick<Config, "alarms">): string[] {
  const { webhook_file, slack_file, telegram_file, healthchecks_file, mail } = alarms;
  return [webhook_file, slack_file, telegram_file, healthchecks_file, mail?.password_file].filter(
    (file) => file !== undefined,
  );
}

/** @throws Error that names the file, and nothing of what it holds */
async function secretIn(file: string): Promise<string> {
  const text = await readTextIfAny(file).catch(() => {
    throw new Error(`${file} cannot be read by the user that odoo-pg runs as`);
  });
  if (text === undefined) throw new Error(`there is no file ${file}`);
  const secret = text.replace(/[\r\n]+$/, "");
  if (secret.trim() === "") throw new Error(`${file} is empty`);
  return secret;
}

function webhook(file: string): Channel {
  return {
    name: "webhook",
    deliver: async (message) => {
      await posting(file, async (address) => await postJson(address, message, DELIVERY_TIMEOUT));
      return undefined;
    },
  };
}

function slack(file: string): Channel {
  return {
    name: "slack",
    deliver: async (message) => {
      await posting(file, async (address) => await postJson(address, slackBody(message), DELIVERY_TIMEOUT));
      return undefined;
    },
  };
}

function telegram(file: string): Channel {
  return {
    name: "telegram",
    deliver: async (message) => {
      await posting(file, async (written) => {
        const address = URL.canParse(written) ? new URL(written) : undefined;
        const chat = address?.searchParams.get("chat_id");
        if (!address?.pathname.endsWith("/sendMessage") || !chat) {
          throw new Error(
            "it must hold https://api.telegram.org/botTOKEN/sendMessage?chat_id=CHAT with the bot's token and the chat's number",
          );
        }
        address.search = "";
        await postJson(address.href, telegramBody(message, chat), DELIVERY_TIMEOUT);
      });
      return undefined;
    },
  };
}

function healthchecks(file: string): Channel {
  const ping = async (signal: string, text: string): Promise<void> =>
    await posting(file, async (address) => {
      if (!URL.canParse(address)) throw new Error("it holds no http(s) address");
      const answer = await postText(
        pingAddress(address, signal),
        { type: "text/plain; charset=utf-8", text },
        DELIVERY_TIMEOUT,
      );
      // It says "OK" with status 200 to what it does not record: an unknown check, or more than five pings a minute.
      if (/not found|rate limited/i.test(answer)) throw new Error(`it answers "${answer.slice(0, 60)}"`);
    });
  return {
    name: "healthchecks",
    deliver: async (message) => {
      await ping(healthchecksSignal(message), plainText(message));
      return undefined;
    },
    alive: async (text) => await ping("", text),
  };
}

/** Posts to the address that a file holds; an error names the file. */
async function posting(file: string, act: (address: string) => Promise<void>): Promise<void> {
  const address = (await secretIn(file)).trim();
  try {
    await act(address);
  } catch (error) {
    throw new Error(`${file}: ${wordsOf(error)}`, { cause: error });
  }
}

function mailChannel(mailing: NonNullable<Config["alarms"]["mail"]>): Channel {
  const { host, port, security, user, password_file, ca_file, from, to } = mailing;
  const usual = { starttls: 587, tls: 465, none: 25 };
  return {
    name: "mail",
    deliver: async (message) => {
      const login =
        user === undefined || password_file === undefined
          ? undefined
          : { user, password: await secretIn(password_file) };
      const ca = ca_file === undefined ? undefined : await secretIn(ca_file);
      // Loaded when it is needed: an agent without mail must not pay for it.
      const { sendMail } = await import("../system/network/smtp.ts");
      const refused = await sendMail(
        { host, port: port ?? usual[security], security, login, ca },
        mail(message, from, to),
        DELIVERY_TIMEOUT,
      ).catch((error: unknown) => {
        const hint = /certificate/i.test(wordsOf(error))
          ? " (alarms.mail.ca_file names the authority to trust)"
          : "";
        throw new Error(`${wordsOf(error)}${hint}`, { cause: error });
      });
      return refused.length ? `the server refused ${refused.join(", ")}` : undefined;
    },
  };
}

function commandChannel(program: string, args: readonly string[]): Channel {
  return {
    name: "command",
    deliver: async (message) => {
      const ran = await run(program, args, {
        input: `${JSON.stringify(message)}\n`,
        timeout: DELIVERY_TIMEOUT,
      });
      if (ran.exitCode === 0) return undefined;
      const words = ran.stderr.trim().split("\n").slice(-3).join(" ").slice(0, 300);
      throw new Error(`${program} ended with exit status ${ran.exitCode}${words ? `: ${words}` : ""}`);
    },
  };
}

/** One line of why something failed. */
export function wordsOf(error: unknown): string {
  const text = messageOf(error);
  return text.replace(/\s+/g, " ").trim();
}
