import { compareSettings, type Row } from "../../advice/tune/advice.ts";
import { seeMachine, seeSettings, type Compared } from "../../advice/tune/gather.ts";
import { planLoad, showCpus, type Load, type LoadOptions } from "../../config/settings/load.ts";
import type { GivenFigures } from "../../postgres/figures.ts";
import { odooLines, type OdooLine } from "../../advice/tune/odoo-lines.ts";
import { claimedBytes } from "../../config/settings/advised.ts";
import { tunedSettings } from "../../config/settings/table.ts";
import { parseBytes } from "../../config/values/postgres-units.ts";
import { showBytes } from "../../model/quantities.ts";
import { nextInDocument, nextStep, odooPg, type NextStep } from "../../next-step.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { namedFile, suggest, type Context } from "../context.ts";
import { tuneOverHosts } from "../hosts/tune.ts";
import { editConfiguration, showApplied, type Applied } from "../edit-configuration.ts";
import { showTable } from "../table.ts";

/** The flags as they were written. */
export interface TuneFlags {
  readonly memory: string | undefined;
  readonly cpus: string | undefined;
  readonly disk: string | undefined;
  readonly workers: string | undefined;
  readonly users: string | undefined;
  readonly apply: boolean;
  /** The one setting to write; undefined for all. */
  readonly only: string | undefined;
  readonly dryRun: boolean;
  readonly json: boolean;
}

/**
 * PostgreSQL settings and lines of odoo.conf for this machine and load, as a difference to what runs. With `apply` the
 * settings go into the configuration file; `up` then applies them like any change.
 * @throws OdooPgError usage, config_invalid, parameter_invalid, config_unwritable.
 */
export async function tune(context: Context, flags: TuneFlags): Promise<ExitStatus> {
  const { given, options } = readFlags(flags);
  const { config } = context;
  const hosts = await tuneOverHosts(context, given);
  const machine = await seeMachine(context, hosts?.given ?? given);
  const seen = hosts ? { ...machine, ...hosts.from } : machine;
  const load = planLoad(seen.figures, options);
  const tuned = tunedSettings(seen.figures, load, seen.major);
  const { present, silence } = await seeSettings(context, seen, tuned);
  const settings = compareSettings(tuned, hosts ? { ...present, known: hosts.known } : present);
  const odoo = odooLines(seen.figures, load);
  const server = hosts?.own ?? seen.node.name;
  const comparedWith = silence === undefined ? `what runs on ${server}` : "the configuration";

  const applied = flags.apply
    ? await apply(hosts?.file ?? context, chosenOf(settings, flags.only), flags.dryRun)
    : undefined;
  const next = stepAfter(flags, chosenOf(settings, flags.only), silence, applied);
  if (flags.json) {
    const document = {
      version: 1,
      cluster: config.cluster,
      machine: {
        ...seen.figures,
        memoryFrom: seen.memoryFrom,
        cpusFrom: seen.cpusFrom,
        diskFrom: seen.diskFrom,
      },
      load,
      compared_with: { what: comparedWith, why: silence ?? null },
      settings,
      odoo,
      applied: applied ? { ...applied, dry_run: flags.dryRun } : null,
      ...(next === undefined ? { next: null, next_step: null } : nextInDocument(next, namedFile(context))),
    };
    context.output.out(JSON.stringify(snakeCase(document), undefined, 2));
    return 0;
  }
  // A user who accepts one setting has seen the others, and wants to see what is written.
  if (flags.only === undefined) show(context, { ...seen, server }, load, settings, odoo, silence);
  for (const note of hosts?.notes ?? []) context.output.err(`▲ ${note}`);
  if (applied) showApplied(context, applied, flags.dryRun);
  context.output.err(next === undefined ? "Nothing to change." : `Next: ${suggest(context, next)}`);
  return 0;
}

function readFlags(flags: TuneFlags): { given: GivenFigures; options: LoadOptions } {
  const usage = (flag: string, message: string): OdooPgError =>
    new OdooPgError("usage", {
      message: `--${flag} ${message}`,
      safe: "Nothing was changed.",
      next: odooPg("tune", "--help"),
    });
  const number = (
    flag: string,
    text: string | undefined,
    { least, most, whole }: { least: number; most: number; whole: boolean },
  ): number | undefined => {
    if (text === undefined) return undefined;
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most && (!whole || Number.isInteger(value))) return value;
    throw usage(flag, `must be a ${whole ? "whole " : ""}number from ${least} to ${most}, not "${text}".`);
  };
  const memory = flags.memory === undefined ? undefined : parseBytes(flags.memory);
  if (typeof memory === "string") throw usage("memory", `${memory}.`);
  if (memory !== undefined && (memory < LEAST_MEMORY || memory > MOST_MEMORY))
    throw usage("memory", `must be from 512MB to 64TB, not "${flags.memory}".`);
  const { disk } = flags;
  if (flags.only !== undefined && !flags.apply)
    throw usage("only", "goes with --apply: without it, nothing is written.");
  if (disk !== undefined && disk !== "ssd" && disk !== "hdd")
    throw usage("disk", `must be ssd or hdd, not "${disk}".`);
  return {
    given: {
      memoryBytes: memory,
      cpus: number("cpus", flags.cpus, { least: 0.1, most: 1024, whole: false }),
      disk,
    },
    options: {
      workers: number("workers", flags.workers, { least: 0, most: 1000, whole: true }),
      users: number("users", flags.users, { least: 1, most: 100_000, whole: true }),
    },
  };
}

const LEAST_MEMORY = 512 * 1024 ** 2;
const MOST_MEMORY = 64 * 1024 ** 4;

/** @throws OdooPgError usage for a setting without advice */
function chosenOf(settings: readonly Row[], only: string | undefined): readonly Row[] {
  if (only === undefined) return settings;
  const chosen = settings.filter(({ name }) => name === only);
  if (chosen.length) return chosen;
  throw new OdooPgError("usage", {
    message: `There is no advice for "${only}".`,
    safe: "Nothing was changed.",
    next: odooPg("tune"),
  });
}

/** Writes the settings that the file lacks into it. */
async function apply(
  context: Context,
  settings: readonly Row[],
  dryRun: boolean,
): Promise<Applied | undefined> {
  const wanted = new Map(
    settings.flatMap(({ name, tuned, to_write }) => (to_write ? [[name, tuned] as const] : [])),
  );
  return wanted.size ? await writeSettings(context, wanted, dryRun) : undefined;
}

/**
 * Writes settings of PostgreSQL into the configuration file, as `--apply` does.
 * @throws OdooPgError config_unwritable, parameter_invalid
 */
export async function writeSettings(
  context: Context,
  wanted: ReadonlyMap<string, string>,
  dryRun: boolean,
): Promise<Applied> {
  const { config } = context;
  const parameters = { ...config.postgres.parameters, ...Object.fromEntries(wanted) };
  return await editConfiguration(
    context,
    {
      section: ["postgres", "parameters"],
      values: wanted,
      expected: { ...config, postgres: { ...config.postgres, parameters } },
    },
    dryRun,
  );
}

/** The command that comes next; undefined when nothing is left to do. */
function stepAfter(
  flags: TuneFlags,
  settings: readonly Row[],
  silence: string | undefined,
  applied: Applied | undefined,
): NextStep | undefined {
  const toWrite = settings.some(({ to_write }) => to_write);
  const differing = settings.filter(({ differs, obstacle }) => differs && obstacle === null);
  if (toWrite && (!applied || flags.dryRun)) {
    const given = (["memory", "cpus", "disk", "workers", "users", "only"] as const).flatMap((name) => {
      const value = flags[name];
      return value === undefined ? [] : [`--${name}`, value];
    });
    return [odooPg("tune", ...given, "--apply")];
  }
  if (!applied && (silence !== undefined || !differing.length)) return undefined;
  const restarts = differing.filter(({ restart }) => restart).map(({ name }) => name);
  const how =
    silence === undefined && restarts.length
      ? `Restart each server for ${restarts.join(", ")}, in the order that replicas need`
      : "Apply them";
  return nextStep`${how}: ${odooPg("up")}`;
}

function show(
  context: Context,
  { figures, memoryFrom, cpusFrom, diskFrom, server }: Compared & { readonly server: string },
  load: Load,
  settings: readonly Row[],
  odoo: readonly OdooLine[],
  silence: string | undefined,
): void {
  const { out, err } = context.output;
  const disk = figures.disk === "ssd" ? "SSD" : "disk that rotates";
  const where = figures.odooHere
    ? `on this host, with ${showBytes(load.odooBytes)}`
    : "on other hosts, because `networks` lets them in";
  const workers = load.workers === 0 ? "Odoo with threads" : `${load.workers} Odoo workers`;
  const nodes = figures.nodes === 1 ? "1 node with" : `${figures.nodes} nodes with each`;
  err(
    `Machine  ${showBytes(figures.memoryBytes)} memory (${memoryFrom}), ${showCpus(figures.cpus)} (${cpusFrom}), ${disk} (${diskFrom})`,
  );
  err(`Odoo     ${workers} (${load.workersReason}), ${where}`);
  err(
    `Memory   ${nodes} ${showBytes(load.nodeBytes)}, of which at most ${showBytes(claimedBytes(figures, load))} are claimed at once`,
  );
  for (const note of load.notes) err(`▲ ${note}`);
  err(
    silence === undefined
      ? `Compared with what runs on ${server}.`
      : `Compared with what is configured, because ${silence}.`,
  );
  const differing = settings.filter(({ differs }) => differs);
  const kept = settings.filter(({ differs }) => !differs);
  if (differing.length) {
    out("");
    showTable(
      context.output,
      ["SETTING", "NOW", "TUNED", "WHY"],
      differing.map(({ name, now: value, tuned, restart, reason }) => [
        `${name}${restart ? " *" : ""}`,
        value,
        tuned,
        reason,
      ]),
    );
    if (differing.some(({ restart }) => restart)) out("* needs a restart of the servers");
  }
  if (kept.length)
    out(`\nAs they should be: ${kept.map(({ name, now: value }) => `${name} ${value}`).join(", ")}`);
  for (const { name, obstacle } of differing) if (obstacle !== null) err(`▲ ${name}: ${obstacle}`);
  out("\n; for odoo.conf, which odoo-pg does not change");
  for (const { name, value, reason } of odoo) out(`; ${reason}\n${name} = ${value}`);
}

/** Keys as all documents of odoo-pg have them. */
function snakeCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeCase);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      snakeCase(inner),
    ]),
  );
}
