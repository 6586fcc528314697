import * as z from "zod";
import { ruleProblem, type RuleSetting } from "../../model/alarm-settings.ts";
import { alarmNames, isAlarmName, renamedAlarm } from "../../model/troubles/troubles.ts";
import { hostProblem } from "../values/addresses.ts";
import { didYouMean, nearest } from "../suggestion.ts";
import { absolutePath, docs, pathProblem, pathWithout, textWithout, wholeNumber } from "../fields.ts";

/** The message does not repeat the value: it may be the secret itself, written in the wrong place. */
function secretFileProblem(path: string): string | undefined {
  if (pathProblem(path) === undefined) return undefined;
  return "must be the absolute path of a file; the secret is in that file, never here";
}

const secretPath = pathWithout(secretFileProblem);

function secretFile() {
  return secretPath.optional();
}

function ruleFault(
  rules: Readonly<Record<string, unknown>>,
  written: string,
  setting: RuleSetting,
): string | undefined {
  const name = renamedAlarm(written) ?? written;
  if (!isAlarmName(name)) return unknownRule(written);
  if (name !== written && rules[name] !== undefined) return `the same alarm as "${name}", its name now`;
  return ruleProblem(name, setting);
}

function unknownRule(name: string): string {
  const near = nearest(name, alarmNames());
  return `unknown alarm; ${near.length ? didYouMean(near) : `known: ${alarmNames().join(", ")}`}`;
}

/** Plain addresses: they go into headers as they are. */
function mailAddressProblem(address: string): string | undefined {
  if (/^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(address))
    return undefined;
  return `${JSON.stringify(address)} is not a mail address, such as admin@example.com (the address alone, without a name)`;
}

export const alarms = z
  .strictObject({
    webhook_file: secretFile().register(docs, {
      description:
        "File that holds the address (http or https) to which each alarm is posted as JSON. Addresses are secrets: they are in files of mode 0600, never here.",
      examples: ["/etc/odoo-pg/alarm-webhook"],
    }),
    slack_file: secretFile().register(docs, {
      description:
        "File that holds the address of an incoming webhook of Slack, or of anything that takes the same format (Mattermost, Rocket.Chat).",
      examples: ["/etc/odoo-pg/slack"],
    }),
    telegram_file: secretFile().register(docs, {
      description:
        "File that holds `https://api.telegram.org/botTOKEN/sendMessage?chat_id=CHAT`, with the token of the bot and the number of the chat.",
      examples: ["/etc/odoo-pg/telegram"],
    }),
    healthchecks_file: secretFile().register(docs, {
      description:
        "File that holds the ping address of a check at healthchecks.io, or at a server of your own. It is pinged every minute while no critical alarm is on, so that it also alerts when the whole host is gone; a critical alarm turns it red at once.",
      examples: ["/etc/odoo-pg/healthchecks"],
    }),
    mail: z
      .strictObject({
        host: textWithout(hostProblem).register(docs, {
          description: "The mail server.",
          examples: ["smtp.example.com"],
        }),
        port: wholeNumber(1, 65535)
          .optional()
          .register(docs, {
            description: "Its port. When not set: 587 with `starttls`, 465 with `tls`, 25 with `none`.",
            examples: [587],
          }),
        security: z.enum(["starttls", "tls", "none"]).default("starttls").register(docs, {
          description:
            "`starttls`: TLS after the greeting, and no mail without it. `tls`: TLS from the start. `none`: without TLS, for a server on this host.",
        }),
        user: z
          .string()
          .min(1)
          .optional()
          .register(docs, {
            description: "User to log in as. When not set: no login.",
            examples: ["odoo-pg"],
          }),
        password_file: secretFile().register(docs, {
          description: "File with the password of that user.",
          examples: ["/etc/odoo-pg/smtp.password"],
        }),
        ca_file: absolutePath()
          .optional()
          .register(docs, {
            description:
              "Certificate of the authority that signed the server's (PEM). When not set: those that Node.js trusts.",
            examples: ["/etc/odoo-pg/mail-ca.crt"],
          }),
        from: textWithout(mailAddressProblem).register(docs, {
          description: "Sender of the mails.",
          examples: ["odoo-pg@example.com"],
        }),
        to: z
          .array(textWithout(mailAddressProblem))
          .min(1)
          .register(docs, { description: "Recipients of the mails.", examples: [["admin@example.com"]] }),
      })
      .optional()
      .register(docs, { description: "Alarms by mail (SMTP)." }),
    command: z
      .array(z.string().min(1))
      .default([])
      .register(docs, {
        description:
          "Program and arguments to run for each alarm, with the alarm as JSON on its standard input. No shell is involved. It may take 15 s.",
        examples: [["/usr/local/bin/page-me", "odoo"]],
      }),
    rules: z
      .record(
        z.string(),
        z.strictObject({
          enabled: z.boolean().optional(),
          after_seconds: z.number().min(0).max(86_400).optional(),
          ends_after_seconds: z.number().min(0).max(86_400).optional(),
          threshold: z.number().positive().optional(),
        }),
      )
      .superRefine((rules, context) => {
        for (const [name, setting] of Object.entries(rules)) {
          const message = ruleFault(rules, name, setting);
          if (message !== undefined) context.addIssue({ code: "custom", message, path: [name] });
        }
      })
      .default({})
      .register(docs, {
        description:
          "Changes to the defaults, by alarm: `enabled: false` turns it off; `after_seconds` is how long it must last before it is reported, `ends_after_seconds` how long it must be gone before its end is; `threshold` (for those that have one) is the figure from which it counts. docs/operations.md has the table of all alarms.",
        examples: [{ disk_filling: { threshold: 80 }, replica_behind: { after_seconds: 600 } }],
      }),
  })
  .prefault({})
  .register(docs, {
    description:
      "Alarms: what is reported when something goes wrong, and when it is over. Without any channel they are only listed (`odoo-pg alarms list`) and logged. Try the channels with `odoo-pg alarms test`.",
  });
