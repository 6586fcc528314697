import path from "node:path";
import { endpointHost } from "../../config/values/addresses.ts";
import { yamlInline } from "../../config/yaml-text.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { nextInDocument, nextStep, odooPg, printNext, withConfig, type NextStep } from "../../next-step.ts";
import { installedOdoo, possibleFilestores, type InstalledOdoo } from "../../odoo/installed.ts";
import { readConf, type ReadConf } from "../../odoo/read-conf.ts";
import { listDatabases } from "../../restore/databases.ts";
import { shellWord } from "../../shell-word.ts";
import { kindOf, namesIn } from "../../system/files/files.ts";
import { namedFile, suggest, type Context } from "../context.ts";
import { editConfiguration, showApplied } from "../edit-configuration.ts";
import { onPrimary } from "../source.ts";
import { showTable } from "../table.ts";
import { readOdooFile } from "./odoo-file.ts";

/** Folders of a filestore that are listed; any beyond that are left out. */
const MOST_DATABASES = 1000;

interface FoundDatabase {
  readonly database: string;
  /** Whether it has a folder of attachments. */
  readonly attachments: boolean;
  /** Whether this cluster has it; null while the cluster is down. */
  readonly here: boolean | null;
}

/** The parts of an Odoo that its odoo.conf names. */
interface Found extends InstalledOdoo {
  readonly file: string;
  /** The one existing directory of filestores; undefined where there is none, or several are possible. */
  readonly filestore: string | undefined;
  readonly looked: readonly string[];
  /** Whether it points to the endpoints of this cluster already. */
  readonly leadsHere: boolean;
  readonly found: readonly FoundDatabase[];
}

export interface AdoptFlags {
  /** Write what was found into the configuration file. */
  readonly apply: boolean;
  readonly dryRun: boolean;
  readonly json: boolean;
}

/**
 * Reads an odoo.conf, examines what it names, and shows the steps from there to here. With `apply` it
 * writes the paths of Odoo's files into the configuration. Nothing of that Odoo is changed, and no server that the file
 * names is contacted.
 * @throws OdooPgError config_invalid for a file that Odoo cannot read; usage, config_unwritable
 */
export async function adopt(context: Context, named: string, flags: AdoptFlags): Promise<ExitStatus> {
  if (flags.dryRun && !flags.apply)
    throw new OdooPgError("usage", {
      message: "--dry-run goes with --apply: without it, nothing is written.",
      next: odooPg("adopt", named),
    });
  const { output, config } = context;
  const found = await lookAt(context, named);
  if (flags.apply) return await apply(context, found, flags.dryRun);
  const plan = planOf(context, found);
  if (flags.json) {
    const { file, host, port, role, filestore, addonsPath, leadsHere, found: databases } = found;
    const document = {
      version: 1,
      cluster: config.cluster,
      file,
      server: { host: host ?? null, port: port ?? null, role: role ?? null },
      leads_here: leadsHere,
      filestore: filestore ?? null,
      addons_path: addonsPath,
      databases,
      plan: plan.map((step) => nextInDocument(step, namedFile(context))),
    };
    output.out(JSON.stringify(document, undefined, 2));
    return 0;
  }
  show(context, found);
  output.out("");
  output.out(plan.length ? "What is left to do; nothing was changed:" : "Nothing is left to do.");
  for (const [index, step] of plan.entries()) {
    const [first = "", ...more] = printNext(withConfig(step, namedFile(context)), output.called).split("\n");
    output.out(`  ${index + 1}. ${first}`);
    for (const line of more) output.out(`     ${line}`);
  }
  return 0;
}

/** @throws OdooPgError config_invalid, without a value of the file in it */
export async function readNamedConf(
  context: Pick<Context, "invocation">,
  named: string,
): Promise<ReadConf & { ok: true }> {
  const read = readConf(await readOdooFile(context, named));
  if (read.ok) return read;
  throw unusable(named, read.problem);
}

function unusable(named: string, problem: string): OdooPgError {
  return new OdooPgError("config_invalid", {
    message: `${named} is not an odoo.conf that Odoo can read: ${problem}.`,
    safe: "Nothing was changed.",
    next: "Correct it, or name the file that Odoo is started with (odoo -c FILE).",
  });
}

async function lookAt(context: Context, named: string): Promise<Found> {
  const installed = installedOdoo((await readNamedConf(context, named)).options);
  if (typeof installed === "string") throw unusable(named, installed);
  const looked = possibleFilestores(installed, context.machine.home);
  const there: string[] = [];
  for (const place of looked) if (await isDirectory(place)) there.push(place);
  const [only] = there;
  const filestore = there.length === 1 ? only : undefined;
  const folders = filestore === undefined ? [] : await databasesOf(filestore);
  const here = await databasesHere(context);
  const names = [...new Set([...installed.databases, ...folders])].toSorted();
  const { write, read } = context.config.endpoints;
  const { port, host } = installed;
  return {
    ...installed,
    file: named,
    filestore,
    looked,
    leadsHere:
      (port === write.port || port === read.port) &&
      ["127.0.0.1", "localhost", "::1", endpointHost(context.config.listen)].includes(host ?? ""),
    found: names.map((database) => ({
      database,
      attachments: folders.includes(database),
      here: here === undefined ? null : here.includes(database),
    })),
  };
}

/** Files that this user may not see do not exist for it. */
async function isDirectory(place: string): Promise<boolean> {
  return (await kindOf(`${place}/.`).catch(() => undefined)) === "directory";
}

/** The folders of a filestore that can be databases' names. */
async function databasesOf(filestore: string): Promise<string[]> {
  const names: string[] = [];
  for (const name of await namesIn(filestore).catch(() => [])) {
    if (name.startsWith(".") || /\p{Cc}/u.test(name) || Buffer.byteLength(name) > 63) continue;
    if (await isDirectory(path.join(filestore, name))) names.push(name);
    if (names.length === MOST_DATABASES) break;
  }
  return names;
}

/** The databases of this cluster; undefined while it is down. */
async function databasesHere(context: Context): Promise<string[] | undefined> {
  try {
    const all = await onPrimary(context, async (source) => await listDatabases(source));
    return all.map(({ database }) => database);
  } catch (error) {
    if (error instanceof OdooPgError) return undefined;
    throw error;
  }
}

function show({ output }: Context, found: Found): void {
  const { host, port, role, filestore, looked, addonsPath } = found;
  const server = host === undefined ? "the Unix socket of this host" : `${host}:${port ?? 5432}`;
  const lines: [string, string][] = [
    ["Server", `${server}, role ${role ?? "of the user who runs Odoo"}`],
    ["Filestore", filestore ?? `not found: looked at ${looked.join(", ")}`],
    ["Addons", addonsPath.join(", ") || "–"],
  ];
  for (const [what, value] of lines) output.out(`${what.padEnd(10)}${value}`);
  if (!found.found.length) return;
  output.out("");
  showTable(
    output,
    ["DATABASE", "ATTACHMENTS", "HERE"],
    found.found.map(({ database, attachments, here }) => [
      database,
      attachments ? "yes" : "no folder",
      here === null ? "?" : here ? "yes" : "no",
    ]),
  );
}

/** The remaining steps from there to here, in their order. */
function planOf(context: Context, found: Found): NextStep[] {
  const { file } = found;
  const missing = found.found.filter(({ here }) => here !== true);
  const started = found.found.every(({ here }) => here !== null);
  const steps: NextStep[] = [];
  if (!found.leadsHere) {
    if (!started || !found.found.length) steps.push(nextStep`Start this cluster: ${odooPg("up")}`);
    steps.push(["Stop Odoo, so that nothing is written meanwhile: systemctl stop odoo"]);
    steps.push(...missing.map(({ database }) => bringOver(context, found, database)));
    if (!found.found.length)
      steps.push(
        nextStep`Bring each of its databases over, such as shop:\n${dumpCommand(found, "shop")}\n${odooPg("restore", "shop.dump", "--as", "shop")}`,
      );
  }
  if (Object.keys(values(context, found)).length)
    steps.push(
      nextStep`Say where Odoo's files are, so that they are in the backups:\n${odooPg("adopt", file, "--apply")}\n${odooPg("up")}`,
    );
  if (found.leadsHere) return steps;
  return [
    ...steps,
    nextStep`Make a first backup, and prove it by a restore: ${odooPg("backup", "create", "--all", "--prove")}`,
    // In this folder, as no link may be followed in one that Odoo's user can change.
    nextStep`Point Odoo here; the new file is created in this folder:\n(umask 077; ${odooPg("odoo-conf", "--from", file)} > ./odoo.conf.new)`,
    [
      `Put it in place, keep the old one, give it to Odoo's group, and start Odoo:\nmv -T ${shellWord(file)} ${shellWord(`${file}.old`)} && install -m 640 -g "$(stat -c %g ${shellWord(`${file}.old`)})" ./odoo.conf.new ${shellWord(file)} && rm ./odoo.conf.new\nsystemctl start odoo`,
    ],
  ];
}

/**
 * Dump and restore of a database. A restore is refused where a filestore of that name exists: where the configuration
 * names the filestore, its folder is moved away meanwhile, and comes back however the restore ends.
 */
function bringOver({ config }: Context, found: Found, database: string): NextStep {
  const dump = `./${database.replaceAll("/", "_")}.dump`;
  const head = `Bring ${shellWord(database)} over; it gets its name once it is compared with its dump and complete:\n${dumpCommand(found, database)}\n`;
  const restore = odooPg("restore", dump, `--as=${database}`);
  const { filestore } = found;
  const hasFolder = found.found.some((one) => one.database === database && one.attachments);
  if (filestore === undefined || !hasFolder || config.odoo.filestore !== filestore)
    return nextStep`${head}${restore}`;
  const [folder, aside] = [database, `.${database}.aside`].map((name) =>
    shellWord(path.join(filestore, name)),
  );
  const back = shellWord(`mv -T ${aside ?? ""} ${folder ?? ""}`);
  return nextStep`${head}(mv -T ${folder ?? ""} ${aside ?? ""} && trap ${back} EXIT && ${restore})`;
}

/** By the shell's own redirection: the file belongs to the caller, whichever user runs pg_dump. */
function dumpCommand({ host, port, role }: Found, database: string): string {
  const dump = shellWord(`./${database.replaceAll("/", "_")}.dump`);
  const where = [
    ...(host === undefined ? [] : ["-h", host]),
    ...(port === undefined ? [] : ["-p", String(port)]),
    ...(host === undefined || role === undefined ? [] : ["-U", role]),
  ].map(shellWord);
  // In a folder that this user may enter, too.
  const asRole = host === undefined && role !== undefined ? `env -C / sudo -u ${shellWord(role)} ` : "";
  return `(umask 077; ${[`${asRole}pg_dump -Fc`, ...where, "--", shellWord(database)].join(" ")} > ${dump})`;
}

/** Keys of section `odoo` that the configuration lacks. */
function values({ config }: Context, { filestore, addonsPath }: Found): Partial<Context["config"]["odoo"]> {
  const same = JSON.stringify(config.odoo.addons_path) === JSON.stringify(addonsPath);
  return {
    ...(filestore === undefined || config.odoo.filestore === filestore ? {} : { filestore }),
    ...(addonsPath.length === 0 || same ? {} : { addons_path: [...addonsPath] }),
  };
}

async function apply(context: Context, found: Found, dryRun: boolean): Promise<ExitStatus> {
  const { config, output } = context;
  const wanted = values(context, found);
  if (!Object.keys(wanted).length) {
    output.err("The configuration says so already: nothing to change.");
    return 0;
  }
  const edit = {
    section: ["odoo"],
    values: new Map(Object.entries(wanted).map(([key, value]) => [key, yamlInline(value)])),
    expected: { ...config, odoo: { ...config.odoo, ...wanted } },
  };
  showApplied(context, await editConfiguration(context, edit, dryRun), dryRun);
  output.err(`Next: ${suggest(context, nextStep`Apply it, which restarts no server: ${odooPg("up")}`)}`);
  return 0;
}
