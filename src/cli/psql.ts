import { endpointHost } from "../config/addresses.ts";
import { readState } from "../agent/state.ts";
import { nodeLayoutOf, UPSTREAM } from "../cluster/layout.ts";
import { OdooPgError } from "../errors.ts";
import { findInstallation, programOf } from "../postgres/installation.ts";
import { SUPERUSER } from "../postgres/initialise.ts";
import { Superuser } from "../postgres/superuser.ts";
import { findPostmaster } from "../postgres/server.ts";
import { accepts } from "../system/network.ts";
import { runInTerminal } from "../system/process.ts";
import { installHint, searchPath, suggest, type Context } from "./context.ts";

/** Milliseconds that an endpoint may take to accept a connection. */
const ENDPOINT_LIMIT = 1000;

/** Shown to who types: psql itself would say no more than that there is no such table. */
const SEARCHED =
  "As superuser, psql searches schema pg_catalog alone: the owner of a database may have put anything into the others. Name what is in them in full, such as public.res_partner.";

/** Opens psql as superuser on a node, or through an endpoint; what follows `--` goes to psql. */
export async function psql(
  context: Context,
  target: string | undefined,
  args: readonly string[],
): Promise<number> {
  const { config, layout } = context;
  const state = await readState(layout);
  if (state === undefined) {
    throw new OdooPgError("not_running", {
      message: `Cluster ${config.cluster} was not started yet.`,
      next: suggest(context, "up"),
    });
  }
  const { host, port } = resolveTarget(context, target ?? "write");
  await assertAnswers(context, target ?? "write", { host, port });
  const isEndpoint = [undefined, "read", "write"].includes(target);
  const follows = isEndpoint && state.primary === UPSTREAM;
  const installation = await findInstallation(config.postgres, {
    searchPath: searchPath(context.invocation),
    installHint: installHint(context.machine),
  });
  const place = { PGHOST: host, PGPORT: String(port) };
  if (follows) {
    // Its roles and passwords are not ours: psql logs in as its user says.
    const { PGUSER: user = SUPERUSER, PGDATABASE: database = "postgres" } = context.invocation.environment;
    context.output.err(
      `The cluster follows a primary that odoo-pg does not run. psql logs in there as role "${user}", with a password of that primary (PGUSER, PGPASSWORD, ~/.pgpass).`,
    );
    return await runInTerminal(
      programOf(installation, "psql"),
      args,
      { ...place, PGUSER: user, PGDATABASE: database },
      () => true,
    );
  }
  const [first] = config.nodes;
  const node = config.nodes.find(({ name }) => name === target) ?? first;
  if (!node) throw new Error("A configuration has at least one node.");
  const access = await Superuser.of(layout, node).clientOfOperator();
  if (args.length === 0) context.output.err(SEARCHED);
  return await runInTerminal(
    programOf(installation, "psql"),
    args,
    { ...access.environment, ...place, PGUSER: access.user, PGDATABASE: "postgres" },
    (name) => !name.startsWith("PG"),
  );
}

/** psql's own words about a server that is not there do not say what to do. @throws OdooPgError not_running. */
async function assertAnswers(
  { config, layout, configFile }: Context,
  target: string,
  { host, port }: { host: string; port: number },
): Promise<void> {
  const node = config.nodes.find(({ name }) => name === target);
  const answers = node
    ? (await findPostmaster(nodeLayoutOf(layout, node).dataDir)) !== undefined
    : await accepts(host, port, ENDPOINT_LIMIT);
  if (answers) return;
  throw new OdooPgError("not_running", {
    message: node
      ? `Node ${node.name} is not running.`
      : `The ${target} endpoint (${host}:${port}) takes no connections.`,
    next: suggest({ configFile }, "up"),
  });
}

function resolveTarget(context: Context, target: string): { host: string; port: number } {
  const { config, layout } = context;
  if (target === "read" || target === "write")
    return { host: endpointHost(config.listen), port: config.endpoints[target].port };
  const node = config.nodes.find(({ name }) => name === target);
  if (node) return { host: layout.runDir, port: node.port };
  throw new OdooPgError("node_unknown", {
    message: `There is no node "${target}". Say one of: ${[...config.nodes.map(({ name }) => name), "read", "write"].join(", ")}.`,
    next: `${suggest(context, "psql")}; arguments for psql itself follow after --`,
  });
}
