import { nextStep, odooPg } from "../../next-step.ts";
import { endpointHost } from "../../config/values/addresses.ts";
import { agentReport } from "../../agent/control/ask.ts";
import { followsUpstream, readState, type ClusterState } from "../../store/state.ts";
import { nodeLayoutOf, type NodeConfig } from "../../config/layout.ts";
import { OdooPgError } from "../../errors.ts";
import { findInstallation, programOf } from "../../postgres/installation.ts";
import { SUPERUSER } from "../../postgres/initialise.ts";
import { Superuser } from "../../postgres/sql/access/superuser.ts";
import { findPostmaster } from "../../postgres/server.ts";
import { accepts } from "../../system/network/network.ts";
import { runInTerminal } from "../../system/process/process.ts";
import { type Context, programSearch } from "../context.ts";
import { nodeCalled } from "../hosts/several.ts";

/** Timeout for an endpoint to accept a connection, and for the agent to answer, in milliseconds. */
const ENDPOINT_TIMEOUT = 1000;

/** Shown to the user: psql itself would only say that there is no such table. */
const SEARCHED =
  "As superuser, psql searches only schema pg_catalog: the owner of a database may have put anything into the others. Qualify the names in them, such as public.res_partner.";

/**
 * Opens psql as superuser on a node, or on the target of an endpoint: the superuser may not pass the endpoints.
 * Arguments after `--` go to psql.
 */
export async function psql(
  context: Context,
  target: string | undefined,
  args: readonly string[],
): Promise<number> {
  const { config, layout } = context;
  const state = await readState(layout);
  if (state === undefined) {
    throw new OdooPgError("not_running", {
      message: `Cluster ${config.cluster} has not been started yet.`,
      next: odooPg("up"),
    });
  }
  const endpoint =
    target === undefined ? "write" : target === "read" || target === "write" ? target : undefined;
  const follows = endpoint !== undefined && followsUpstream(state);
  const node = await nodeOf(context, endpoint === undefined ? target : await ledTo(context, endpoint, state));
  if (follows) await assertEndpointAnswers(context, endpoint);
  else await assertRuns(context, node);
  const installation = await findInstallation(config.postgres, programSearch(context));
  if (follows) {
    // Its roles and passwords are not ours: psql logs in as its user says.
    const { PGUSER: user = SUPERUSER, PGDATABASE: database = "postgres" } = context.invocation.environment;
    context.output.err(
      `The cluster follows a primary that odoo-pg does not run. psql logs in there as role "${user}", with a password of that primary (PGUSER, PGPASSWORD, ~/.pgpass).`,
    );
    return await runInTerminal(
      programOf(installation, "psql"),
      args,
      {
        PGHOST: endpointHost(config.listen),
        PGPORT: String(config.endpoints[endpoint].port),
        PGUSER: user,
        PGDATABASE: database,
      },
      () => true,
    );
  }
  const access = await Superuser.of(layout, node).clientOfOperator();
  if (args.length === 0) context.output.err(SEARCHED);
  return await runInTerminal(
    programOf(installation, "psql"),
    args,
    {
      ...access.environment,
      PGHOST: access.host,
      PGPORT: String(access.port),
      PGUSER: access.user,
      PGDATABASE: "postgres",
    },
    (name) => !name.startsWith("PG"),
  );
}

/** The target of an endpoint: the primary, or a replica that serves reads. */
async function ledTo(
  { config, layout }: Context,
  endpoint: "read" | "write",
  state: ClusterState,
): Promise<string | undefined> {
  if (followsUpstream(state)) return config.nodes[0]?.name;
  const report = endpoint === "read" ? await agentReport(layout, ENDPOINT_TIMEOUT) : undefined;
  return report?.pool.find((name) => config.nodes.some((node) => node.name === name)) ?? state.primary;
}

async function nodeOf(context: Context, name: string | undefined): Promise<NodeConfig> {
  const { nodes } = context.config;
  const found = await nodeCalled(context, name);
  if (found) return found;
  throw new OdooPgError("node_unknown", {
    message: `There is no node "${name ?? ""}". Use one of: ${[...nodes.map((node) => node.name), "read", "write"].join(", ")}.`,
    next: nextStep`${odooPg("psql")}; arguments for psql itself follow after --`,
  });
}

/** psql's own message about a server that is down does not say what to do. @throws OdooPgError not_running. */
async function assertRuns({ layout }: Context, node: NodeConfig): Promise<void> {
  if ((await findPostmaster(nodeLayoutOf(layout, node).dataDir)) !== undefined) return;
  throw new OdooPgError("not_running", {
    message: `Node ${node.name} is not running.`,
    next: odooPg("up"),
  });
}

/** The same for an endpoint. @throws OdooPgError not_running. */
async function assertEndpointAnswers({ config }: Context, endpoint: "read" | "write"): Promise<void> {
  const host = endpointHost(config.listen);
  const { port } = config.endpoints[endpoint];
  if (await accepts(host, port, ENDPOINT_TIMEOUT)) return;
  throw new OdooPgError("not_running", {
    message: `The ${endpoint} endpoint (${host}:${port}) takes no connections.`,
    next: odooPg("up"),
  });
}
