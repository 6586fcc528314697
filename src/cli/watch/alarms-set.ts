import path from "node:path";
import { tryChannels, type Tried } from "../../alarms/test-channels.ts";
import type { Config } from "../../config/schema.ts";
import { alarms as alarmsSchema } from "../../config/sections/alarms.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import { oneLine } from "../../printable.ts";
import { readTextIfAny, removeFile, writeFileAtomic } from "../../system/files/files.ts";
import { readStandardInput } from "../../system/terminal.ts";
import { suggest, type Context } from "../context.ts";
import { editConfiguration, showApplied, type ConfigurationEdit } from "../edit-configuration.ts";

/** Channels whose address is a secret, and where the configuration names the file that holds it. */
export const BY_ADDRESS = ["webhook", "slack", "telegram", "healthchecks"] as const;
type ByAddress = (typeof BY_ADDRESS)[number];

/** Characters of a secret. */
const LONGEST = 4096;

export interface AlarmsSetFlags {
  /** Of mail, as they were written. */
  readonly host: string | undefined;
  readonly port: string | undefined;
  readonly security: string | undefined;
  readonly user: string | undefined;
  readonly from: string | undefined;
  readonly to: string | undefined;
  /** The file that holds the secret, in the place of standard input. */
  readonly secretFile: string | undefined;
  /** Written even where the test does not arrive. */
  readonly untried: boolean;
  readonly dryRun: boolean;
}

type Alarms = Config["alarms"];

/** The change: the new section, the lines of it that are written, and the secret with its file. */
interface Setting {
  readonly alarms: Alarms;
  readonly edit: Pick<ConfigurationEdit, "section" | "values">;
  readonly secret: { readonly file: string; readonly text: string } | undefined;
}

/**
 * Sets up one channel of the alarms: a test is sent through it first, and only if that arrives is it written. A secret
 * comes by standard input or from a file, and goes into a file of mode 0600 among the cluster's secrets; the
 * configuration names that file.
 * @throws OdooPgError usage, config_unwritable; alarm_not_delivered where the test does not arrive
 */
export async function alarmsSet(
  context: Context,
  channel: string,
  flags: AlarmsSetFlags,
): Promise<ExitStatus> {
  const { output, config } = context;
  const set = channel === "mail" ? await mailOf(context, flags) : await addressOf(context, channel, flags);
  const edit = { ...set.edit, expected: { ...config, alarms: set.alarms } };
  // What cannot be written is reported before anything is sent.
  const dry = await editConfiguration(context, edit, true);
  if (flags.dryRun) {
    output.out(`A test is sent through ${channel} first. If it arrives, this is written:`);
    showApplied(context, dry, true);
    return 0;
  }
  const { secret } = set;
  const triedFile = secret && `${secret.file}.tried`;
  try {
    if (secret && triedFile !== undefined) await writeFileAtomic(triedFile, `${secret.text}\n`);
    const [tried] = await tryChannels(
      { ...config, alarms: only(channel, set.alarms, triedFile) },
      context.machine.hostname,
    );
    if (!tried?.ok && !flags.untried) throw notDelivered(channel, tried);
    output.out(
      tried?.ok
        ? `A test through ${channel} was delivered in ${tried.seconds.toFixed(1)} s${tried.remark === null ? "" : ` (${tried.remark})`}.`
        : `A test through ${channel} FAILED: ${oneLine(tried?.error ?? "?")}`,
    );
  } finally {
    if (triedFile !== undefined) await removeFile(triedFile);
  }
  if (secret) await writeFileAtomic(secret.file, `${secret.text}\n`);
  showApplied(context, await editConfiguration(context, edit, false), false);
  output.err(`Next: ${suggest(context, nextStep`Have the agent use it: ${odooPg("up")}`)}`);
  return 0;
}

/** All other channels off: one is tested, with the contents of the secret's file that is tested. */
function only(channel: string, alarms: Alarms, tried: string | undefined): Alarms {
  const { mail } = alarms;
  const files = Object.fromEntries(
    BY_ADDRESS.map((name) => [`${name}_file`, name === channel ? tried : undefined]),
  );
  const triedMail = mail && tried !== undefined ? { ...mail, password_file: tried } : mail;
  return { ...alarms, ...files, mail: channel === "mail" ? triedMail : undefined, command: [] };
}

function notDelivered(channel: string, tried: Tried | undefined): OdooPgError {
  return new OdooPgError("alarm_not_delivered", {
    message: `A test through ${channel} did not arrive: ${oneLine(tried?.error ?? "nothing was tried")}`,
    safe: "Nothing was changed.",
    next: nextStep`Correct it, and set it again; for examples: ${odooPg("alarms", "set", "--help")}`,
  });
}

function usage(message: string): OdooPgError {
  return new OdooPgError("usage", {
    message,
    safe: "Nothing was changed.",
    next: odooPg("alarms", "set", "--help"),
  });
}

async function addressOf(context: Context, channel: string, flags: AlarmsSetFlags): Promise<Setting> {
  const name = BY_ADDRESS.find((one) => one === channel);
  if (!name)
    throw usage(
      `There is no channel ${JSON.stringify(oneLine(channel, 40))}: it is mail, ${BY_ADDRESS.join(", ")}. A program to run is set under alarms.command in the configuration file.`,
    );
  const text = await secretFrom(context, flags, `the address of ${name}`);
  if (text === undefined) throw usage(`The address of ${name} is missing: it comes on standard input.`);
  if (!/^https?:$/.test(URL.canParse(text) ? new URL(text).protocol : ""))
    throw usage(
      `What came for ${name} is not an http or https address. It is not repeated here, as it may be a secret.`,
    );
  const file = secretFile(context, name);
  const key: `${ByAddress}_file` = `${name}_file`;
  return {
    alarms: checked({ ...context.config.alarms, [key]: file }),
    edit: { section: ["alarms"], values: new Map([[key, JSON.stringify(file)]]) },
    secret: { file, text },
  };
}

async function mailOf(context: Context, flags: AlarmsSetFlags): Promise<Setting> {
  const present = context.config.alarms.mail;
  const { host, port, security, user, from, to } = flags;
  const given = {
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port: /^\d+$/.test(port) ? Number(port) : port }),
    ...(security === undefined ? {} : { security }),
    ...(user === undefined ? {} : { user }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to: to.split(",").map((one) => one.trim()) }),
  };
  if (Object.keys(given).length === 0 && flags.secretFile === undefined)
    throw usage("The first time, mail needs at least --host, --from and --to.");
  const text =
    user === undefined && flags.secretFile === undefined
      ? undefined
      : await secretFrom(context, flags, "the password of the mail server");
  const file = text === undefined ? undefined : secretFile(context, "mail");
  if (user !== undefined && file === undefined && present?.password_file === undefined)
    throw usage("The password of the mail server's user is missing: it comes on standard input.");
  const values = { ...given, ...(file === undefined ? {} : { password_file: file }) };
  return {
    alarms: checked({ ...context.config.alarms, mail: { ...present, ...values } }),
    edit: {
      section: ["alarms", "mail"],
      // JSON is YAML on one line.
      values: new Map(Object.entries(values).map(([name, value]) => [name, JSON.stringify(value)])),
    },
    secret: file === undefined || text === undefined ? undefined : { file, text },
  };
}

/** The section as the schema reads it. @throws OdooPgError usage */
function checked(alarms: unknown): Alarms {
  const parsed = alarmsSchema.safeParse(alarms);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw usage(`alarms.${issue?.path.join(".") ?? "?"}: ${issue?.message ?? "?"}.`);
}

/** Where `alarms set` puts the secret of a channel. */
export function secretFile({ layout }: Context, channel: string): string {
  return path.join(layout.secretsDir, `alarm_${channel}`);
}

/** One line; undefined where nothing came. @throws OdooPgError usage, which repeats nothing of it */
async function secretFrom(
  context: Context,
  flags: AlarmsSetFlags,
  what: string,
): Promise<string | undefined> {
  if (flags.secretFile === undefined)
    context.output.err(`Reading ${what} from standard input (a line, then Ctrl-D) …`);
  const text = (
    flags.secretFile === undefined ? await readStandardInput() : await readTextIfAny(flags.secretFile)
  )?.trim();
  if (flags.secretFile !== undefined && text === undefined)
    throw usage(`There is no file ${flags.secretFile}.`);
  if (text === undefined || text === "") return undefined;
  // oxlint-disable-next-line no-control-regex -- they are what is refused
  if (text.length > LONGEST || /[\u0000-\u001f\u007f]/.test(text))
    throw usage(`What came for ${what} is more than one line, or longer than ${LONGEST} characters.`);
  return text;
}
