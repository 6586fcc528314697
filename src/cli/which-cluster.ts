import { layoutOf } from "../config/layout.ts";
import { OdooPgError } from "../errors.ts";
import { nextStep, odooPg, type NextText } from "../next-step.ts";
import { shellWord } from "../shell-word.ts";
import type { ClusterHere } from "../store/clusters-here.ts";
import { readApplied } from "../store/state.ts";
import { isReadable, kindOf, ownerOf } from "../system/files/files.ts";
import { userName } from "../system/machine.ts";
import { again, type Context } from "./context.ts";

/**
 * Whether a command needs an existing cluster, none yet because it creates one, its configuration alone, or nothing.
 */
export type Needs = "cluster" | "place" | "configuration" | "nothing";

/**
 * The cluster that is meant. Where the configuration was named, or the default place holds a cluster, it is that one,
 * with the file that it was started with: with the defaults of another folder, `up` would take back what that file
 * says, and a backup would lack attachments. Otherwise it is this user's only cluster on this host, and a message says
 * so.
 * @param load reads another configuration file
 * @throws OdooPgError permission_denied where it is another user's, usage where there are several
 */
export async function whichCluster(
  context: Context,
  needs: Needs,
  load: (file: string) => Promise<Context>,
): Promise<Context> {
  const { layout, output } = context;
  if (needs === "nothing") return context;
  if (needs !== "configuration") await requireAccess(context);
  if (isNamed(context)) return context;
  if (await holdsCluster(layout.appliedFile)) {
    const file = await startedWith(context);
    return file === undefined ? context : await load(file);
  }
  if (needs === "configuration") return context;
  const { clustersHere } = await import("../store/clusters-here.ts");
  const others = await clustersHere(layout.stateDir);
  if (needs === "place") {
    for (const { stateDir, user } of others)
      output.err(`Note: there is a cluster in ${stateDir} already (user ${user}). This one is another.`);
    return context;
  }
  const own = others.filter((one) => one.own);
  const [only] = own;
  if (own.length > 1) throw await severalOf(own, context);
  if (only) return await contextOf(only, context, load);
  const [foreign] = others;
  if (!foreign) return context;
  throw denied(
    foreign,
    context,
    others.slice(1).map(({ stateDir, user }) => `also in ${stateDir}, of user ${user}`),
  );
}

/** @throws OdooPgError not_running where no cluster was ever started: otherwise its records would just look empty. */
export async function requireCluster({ config, layout }: Context): Promise<void> {
  if ((await kindOf(layout.stateFile)) || (await kindOf(layout.agentLog))) return;
  throw new OdooPgError("not_running", {
    message: `Cluster ${config.cluster} was never started here (${layout.stateDir} holds none).`,
    safe: "Nothing was changed.",
    next: odooPg("up"),
  });
}

function isNamed({ configFile, origins }: Context): boolean {
  return configFile !== undefined || (origins.get("state_dir")?.kind ?? "default") !== "default";
}

/** The file that the cluster in the default place was started with, where it still exists. */
async function startedWith({ layout }: Context): Promise<string | undefined> {
  // A record that cannot be read is reported by the code that needs it.
  const applied = await readApplied(layout).catch(() => undefined);
  const file = applied?.config_file ?? undefined;
  return file !== undefined && (await kindOf(file).catch(() => undefined)) === "file" ? file : undefined;
}

async function holdsCluster(appliedFile: string): Promise<boolean> {
  return (await kindOf(appliedFile).catch(() => undefined)) === "file";
}

async function requireAccess(context: Context): Promise<void> {
  const { appliedFile, stateDir } = context.layout;
  if ((await isReadable(stateDir)) && (await isReadable(appliedFile))) return;
  const owner = await ownerOf(stateDir);
  throw denied({ stateDir, user: owner ? await userName(owner.uid) : "another user" }, context);
}

function denied(
  { stateDir, user }: Pick<ClusterHere, "stateDir" | "user">,
  { invocation, output }: Context,
  details: readonly string[] = [],
): OdooPgError {
  const sudo = user === "root" ? "sudo" : `sudo -u ${shellWord(user)}`;
  const typed = invocation.args.map(shellWord).join(" ");
  return new OdooPgError("permission_denied", {
    message: `The cluster in ${stateDir} belongs to user ${user}: you may neither read nor change it.`,
    safe: "Nothing was changed.",
    next: `${sudo} ${output.called} ${typed}`,
    details,
  });
}

async function contextOf(
  { stateDir }: ClusterHere,
  context: Context,
  load: (file: string) => Promise<Context>,
): Promise<Context> {
  const applied = await readApplied(layoutOf(stateDir));
  if (!applied) return context;
  const file = applied.config_file;
  const by = file === null ? "" : ` (configuration ${file})`;
  context.output.err(`Cluster ${applied.config.cluster} in ${stateDir}${by}: the one on this host.`);
  if (file !== null && (await kindOf(file)) === "file") return await load(file);
  return { ...context, config: applied.config, layout: layoutOf(stateDir) };
}

async function severalOf(own: readonly ClusterHere[], context: Context): Promise<OdooPgError> {
  const files = await Promise.all(
    // A record that another version has written is listed all the same.
    own.map(async ({ stateDir }) => {
      const applied = await readApplied(layoutOf(stateDir)).catch(() => undefined);
      return applied?.config_file ?? undefined;
    }),
  );
  const named = files.flatMap((file) => file ?? []);
  const next: NextText =
    named[0] === undefined
      ? "Name its configuration with --config FILE."
      : nextStep`Name the one you mean, such as: ${{ ...again(context, {}), config: named[0] }}`;
  return new OdooPgError("usage", {
    message: `There are ${own.length} clusters of yours on this host, and you named none.`,
    safe: "Nothing was changed.",
    details: own.map(
      ({ stateDir }, at) => `${stateDir}${files[at] === undefined ? "" : `: --config ${files[at]}`}`,
    ),
    next,
  });
}
