import { agentReport } from "../../agent/control/ask.ts";
import { readFirstLaunch } from "../../container/first-launch.ts";
import { messageOf, OdooPgError, type ExitStatus } from "../../errors.ts";
import { FIXED } from "../../container/place.ts";
import { observeServer } from "../../postgres/sql/observing/facts.ts";
import { writeMark } from "../../postgres/sql/operations.ts";
import { readTextIfAny } from "../../system/files/files.ts";
import { RoleAccess } from "../../postgres/sql/access/role-access.ts";
import { Superuser } from "../../postgres/sql/access/superuser.ts";
import type { Context } from "../context.ts";

/**
 * Timeout of each question, in milliseconds: the engine waits 15 s for everything, including the start of this program.
 */
const TIMEOUT = 2000;
const TIMEOUTS = { connectTimeout: TIMEOUT, statementTimeout: TIMEOUT };

/**
 * The health check that the engine runs every few seconds. A primary is healthy when it accepts a write, a replica when
 * it streams, the endpoints when they answer a read. @throws OdooPgError node_not_ready, with the reason
 */
export async function containerHealth(context: Context): Promise<ExitStatus> {
  const { environment } = context.invocation;
  try {
    context.output.out(environment["ENDPOINTS_FOR"] ? await askEndpoint(context) : await askNode(context));
    return 0;
  } catch (error) {
    throw new OdooPgError("node_not_ready", {
      message: messageOf(error),
      cause: error,
    });
  }
}

async function askNode({ layout, config }: Context): Promise<string> {
  const report = await agentReport(layout, TIMEOUT);
  if (!report?.keeping) throw new Error(`the agent is at: ${report?.operation ?? "its start"}`);
  const first = await readFirstLaunch(layout);
  if (first && !first.complete) throw new Error("the first launch is not complete");
  const [node] = config.nodes;
  if (!node) throw new Error("there is no node");
  return await Superuser.of(layout, node).use(async (session) => {
    const facts = await observeServer(session);
    if (!facts.in_recovery) {
      // Not of this session, but of those that Odoo gets.
      const [row] = await session.query(
        "SELECT setting::bool AS refused FROM pg_file_settings WHERE name = 'default_transaction_read_only' AND applied",
      );
      if (row?.["refused"] === true)
        throw new Error("a primary that takes no writes: default_transaction_read_only is on");
      await writeMark(session);
      return "primary, takes writes";
    }
    if (facts.receiver_status === "streaming") return "replica, streams";
    throw new Error("a replica that does not stream");
  }, TIMEOUTS);
}

async function askEndpoint({ config, invocation }: Context): Promise<string> {
  const { environment } = invocation;
  const file = environment["COLLECTD_PGSQL_PASSWD_FILE"];
  const inFile = async (): Promise<string | undefined> =>
    file ? ((await readTextIfAny(FIXED.givenCollectdPassword)) ?? (await readTextIfAny(file))) : undefined;
  const password = environment["COLLECTD_PGSQL_PASSWD"] || (await inFile()) || "";
  const { port } = config.endpoints.read;
  const endpoint = {
    host: "127.0.0.1",
    port: async () => await Promise.resolve(port),
    encryption: "prefer",
  } as const;
  const access = new RoleAccess(endpoint, "collectd", password.replace(/\r?\n$/, ""));
  return await access.use(async (session) => {
    await session.query("SELECT 1");
    return "answers reads";
  }, TIMEOUTS);
}
