import { superuser } from "../agent/runtime.ts";
import { agentReport } from "../agent/ask.ts";
import { readPassword } from "../agent/secrets.ts";
import { readFirstLaunch } from "../container/first-launch.ts";
import { OdooPgError, type ExitStatus } from "../errors.ts";
import { observeServer } from "../postgres/observe.ts";
import { writeMark } from "../postgres/operations.ts";
import { readTextIfAny } from "../system/files.ts";
import { withSession, type Credentials } from "../system/sql.ts";
import type { Context } from "./context.ts";

/** Milliseconds for each question: the engine waits 15 s for the whole, with the start of this program. */
const LIMIT = 2000;

/**
 * What the engine asks every few seconds. A primary is healthy when it takes a write, a replica when it streams, the
 * endpoints when a read through them is answered. @throws OdooPgError node_not_ready, with the reason
 */
export async function containerHealth(context: Context): Promise<ExitStatus> {
  const { environment } = context.invocation;
  try {
    context.output.out(environment["ENDPOINTS_FOR"] ? await askEndpoint(context) : await askNode(context));
    return 0;
  } catch (error) {
    throw new OdooPgError("node_not_ready", {
      message: error instanceof Error ? error.message : String(error),
      cause: error,
    });
  }
}

async function askNode({ layout, config }: Context): Promise<string> {
  const report = await agentReport(layout, LIMIT);
  if (!report?.keeping) throw new Error(`the agent is at: ${report?.operation ?? "its start"}`);
  const first = await readFirstLaunch(layout);
  if (first && !first.complete) throw new Error("the first launch is not complete");
  const port = config.nodes[0]?.port ?? 0;
  const credentials: Credentials = {
    ...superuser(layout, port, (await readPassword(layout, "postgres")) ?? ""),
    connectLimit: LIMIT,
    statementLimit: LIMIT,
  };
  return await withSession(credentials, async (session) => {
    const facts = await observeServer(session);
    if (!facts.in_recovery) {
      const [row] = await session.query("SHOW transaction_read_only");
      if (row?.["transaction_read_only"] === "on")
        throw new Error("a primary that takes no writes: default_transaction_read_only is on");
      await writeMark(session);
      return "primary, takes writes";
    }
    if (facts.receiver_status === "streaming") return "replica, streams";
    throw new Error("a replica that does not stream");
  });
}

async function askEndpoint({ config, invocation }: Context): Promise<string> {
  const { environment } = invocation;
  const file = environment["COLLECTD_PGSQL_PASSWD_FILE"];
  const password =
    environment["COLLECTD_PGSQL_PASSWD"] || (file ? await readTextIfAny(file) : undefined) || "";
  const credentials: Credentials = {
    host: "127.0.0.1",
    port: config.endpoints.read.port,
    user: "collectd",
    password: password.replace(/\r?\n$/, ""),
    database: "postgres",
    encryption: "prefer",
    connectLimit: LIMIT,
    statementLimit: LIMIT,
  };
  return await withSession(credentials, async (session) => {
    await session.query("SELECT 1");
    return "answers reads";
  });
}
