import { odooPg } from "../../next-step.ts";
import { countOf } from "../../alarms/decide.ts";
import { severityOf } from "../../model/warnings.ts";
import { readAlarms } from "../../alarms/state-file.ts";
import { openSecretFiles, tryChannels } from "../../alarms/test-channels.ts";
import { oneLine } from "../../printable.ts";
import { shellWord } from "../../shell-word.ts";
import type { Config } from "../../config/schema.ts";
import type { ExitStatus } from "../../errors.ts";
import { readApplied } from "../../store/state.ts";
import { suggest, type Context } from "../context.ts";
import { noteFormerNames } from "../former-names.ts";
import { showTable } from "../table.ts";

/** The active alarms, since when, and the channels that fail. Works while the agent is down. */
export async function alarmsList(context: Context, flags: { readonly json: boolean }): Promise<ExitStatus> {
  const { output, config, layout } = context;
  const saved = await readAlarms(layout.stateDir);
  const on = (saved?.alarms ?? [])
    .filter(({ told_at }) => told_at !== null)
    .map(({ rule, subject, text, next, since, told_at }) => ({
      rule,
      severity: severityOf(rule),
      subject,
      text,
      next,
      since: new Date(since).toISOString(),
      told_at: told_at === null ? null : new Date(told_at).toISOString(),
    }))
    .sort((a, b) => (a.severity === b.severity ? 0 : a.severity === "critical" ? -1 : 1));
  const failing = Object.entries(saved?.channels ?? {}).flatMap(([channel, { failing, waiting }]) =>
    failing
      ? [
          {
            channel,
            since: new Date(failing.since).toISOString(),
            error: failing.error,
            waiting: waiting.length,
          },
        ]
      : [],
  );
  const ways = waysOf(config.alarms, (await readApplied(layout))?.config.alarms);
  if (flags.json) {
    output.out(
      JSON.stringify(
        {
          version: 1,
          cluster: config.cluster,
          alarms: on,
          failing_channels: failing,
          channels: ways,
          mail: mailOf(config.alarms),
        },
        undefined,
        2,
      ),
    );
    return 0;
  }
  if (on.length) {
    showTable(
      output,
      ["SINCE", "SEVERITY", "ALARM", "ABOUT", "WHAT"],
      on.map(({ since, severity, rule, subject, text }) => [
        `${since.slice(0, 19)}Z`,
        severity,
        rule,
        subject ?? config.cluster,
        text,
      ]),
    );
  }
  for (const { channel, to, applied, set_up: setUp } of ways) {
    const when = setUp ? (applied ? "" : ", once it is applied") : ", until the configuration is applied";
    output.err(`Told by ${channel}${when}: ${oneLine(to, 200)}`);
  }
  if (ways.length === 0)
    output.err(
      `Nobody is told: no channel is set up. Set one up: ${suggest(context, odooPg("alarms", "set", "--help"))}`,
    );
  for (const { channel, since, error, waiting } of failing)
    output.err(`Nothing arrives by ${channel} since ${since.slice(0, 19)}Z (${waiting} wait): ${error}`);
  const { critical, warning } = countOf(saved?.alarms ?? []);
  output.err(
    on.length
      ? `${critical} critical, ${warning} ${warning === 1 ? "warning" : "warnings"}. What to do: ${suggest(context, odooPg("status"))}`
      : "No alarm is on.",
  );
  return 0;
}

/** A channel of the alarms. */
interface Way {
  readonly channel: string;
  /** Its target, as far as that is no secret. */
  readonly to: string;
  /** Whether the agent uses it: the agent uses what was applied last. */
  readonly applied: boolean;
  /** Whether the configuration names it; not when it was removed, and the agent still uses it. */
  readonly set_up: boolean;
}

/** The channels that the configuration names, and those that the agent still uses although it no longer names them. */
function waysOf(alarms: Config["alarms"], applied: Config["alarms"] | undefined): Way[] {
  const set = waysIn(alarms, applied);
  const inUse = applied ? waysIn(applied, applied) : [];
  const gone = inUse.filter(({ channel }) => !set.some((one) => one.channel === channel));
  return [...set, ...gone.map((way) => ({ ...way, set_up: false }))];
}

function waysIn(alarms: Config["alarms"], applied: Config["alarms"] | undefined): Way[] {
  const { mail, command } = alarms;
  const files = (["webhook", "slack", "telegram", "healthchecks"] as const).flatMap((channel): Way[] => {
    const file = alarms[`${channel}_file`];
    return file === undefined
      ? []
      : [
          {
            channel,
            to: `the address in ${file}`,
            applied: applied?.[`${channel}_file`] === file,
            set_up: true,
          },
        ];
  });
  const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);
  return [
    ...(mail
      ? [{ channel: "mail", to: mail.to.join(", "), applied: same(mail, applied?.mail), set_up: true }]
      : []),
    ...files,
    ...(command.length > 0
      ? [
          {
            channel: "command",
            to: command.join(" "),
            applied: same(command, applied?.command),
            set_up: true,
          },
        ]
      : []),
  ];
}

/** The part of the mail's settings that is not secret; null where there is no mail. */
function mailOf({ mail }: Config["alarms"]): object | null {
  if (!mail) return null;
  const { host, port, security, user, from, to } = mail;
  return { host, port, security, user, from, to };
}

/**
 * Sends a test through each channel of the configuration file, whether the agent runs or not.
 * @returns 1 when one failed, or when there is none: then no alarm would arrive anywhere
 */
export async function alarmsTest(context: Context, flags: { readonly json: boolean }): Promise<ExitStatus> {
  const { output, config, machine } = context;
  const [tried, open] = await Promise.all([tryChannels(config, machine.hostname), openSecretFiles(config)]);
  if (!flags.json) noteFormerNames(context);
  const ok = tried.length > 0 && tried.every((one) => one.ok);
  if (flags.json) {
    output.out(JSON.stringify({ version: 1, ok, channels: tried, readable_by_others: open }, undefined, 2));
    return ok ? 0 : 1;
  }
  for (const { channel, ok: arrived, seconds, error, remark } of tried) {
    const how = arrived ? `delivered in ${seconds.toFixed(1)} s` : `FAILED: ${error ?? "?"}`;
    output.out(`${channel.padEnd(12)}  ${how}${remark === null ? "" : ` (${remark})`}`);
  }
  for (const file of open)
    output.err(`Others can read ${file}, which holds a secret: chmod 600 ${shellWord(file)}`);
  const failed = tried.filter((one) => !one.ok).length;
  output.err(
    tried.length === 0
      ? `No channel is configured: nobody is notified. Set one up: ${suggest(context, odooPg("alarms", "set", "--help"))}`
      : failed
        ? `${failed} of ${tried.length} channels failed. Correct it, then again: ${suggest(context, odooPg("alarms", "test"))}`
        : `Each channel took the test. The agent uses what was applied last: ${suggest(context, odooPg("up"))}`,
  );
  return ok ? 0 : 1;
}
