import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { run } from "../../src/system/process/process.ts";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { connect } from "../support/pg.ts";
import { waitFor } from "../support/wait.ts";

let cluster: ThrowawayCluster;

beforeAll(async () => {
  cluster = await throwawayCluster();
  await cluster.up();
  const admin = await cluster.session("pg1");
  for (const [role, words] of [
    ["reporting", ""],
    ["boss", "SUPERUSER"],
    ["copier", "REPLICATION"],
    ["keeper", "CREATEROLE"],
    ["runner", "IN ROLE pg_execute_server_program"],
    ["deputy", "IN ROLE postgres"],
  ] as const) {
    await admin.rows(`CREATE ROLE ${role} LOGIN PASSWORD 'secret' ${words}`);
  }
  await waitFor("the agent to see the new roles", async () => await logsIn("write", "reporting"));
});

/** Whether a role logs in at a port; anything else than a refusal fails the test. */
async function logsIn(target: "read" | "write" | "pg1" | "pg2", user: string): Promise<boolean> {
  const password = ["postgres", "odoo", "collectd", "replicator"].includes(user)
    ? cluster.password(
        user === "odoo"
          ? "odoo"
          : user === "collectd"
            ? "collectd"
            : user === "replicator"
              ? "replicator"
              : "postgres",
      )
    : "secret";
  const port =
    {
      read: cluster.ports.read,
      write: cluster.ports.write,
      pg1: cluster.ports.nodes[0],
      pg2: cluster.ports.nodes[1],
    }[target] ?? 0;
  try {
    const session = await connect({ port, user, password });
    await session.close();
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: "28000", message: expect.stringContaining("pg_hba.conf rejects") });
    return false;
  }
}

/** What a program says that asks for the replication protocol, by TCP. */
async function askForReplication(port: number, user: "replicator" | "postgres"): Promise<string> {
  const ran = await run(
    "psql",
    [
      "-X",
      "-w",
      `host=127.0.0.1 port=${port} user=${user} dbname=postgres replication=true`,
      "-c",
      "IDENTIFY_SYSTEM",
    ],
    { environment: { PGPASSWORD: cluster.password(user), PATH: process.env["PATH"] ?? "" } },
  );
  return ran.exitCode === 0 ? "answered" : ran.stderr;
}

test.each(["read", "write"] as const)(
  "the %s endpoint lets in users of databases, and nobody who is more",
  async (endpoint) => {
    for (const user of ["odoo", "collectd", "reporting"])
      expect([user, await logsIn(endpoint, user)]).toEqual([user, true]);
    for (const user of ["postgres", "replicator", "boss", "copier", "keeper", "runner", "deputy"])
      expect([user, await logsIn(endpoint, user)]).toEqual([user, false]);
  },
);

test.each(["read", "write"] as const)("nobody replicates through the %s endpoint", async (endpoint) => {
  for (const user of ["replicator", "postgres"] as const)
    expect(await askForReplication(cluster.ports[endpoint], user)).toMatch(
      /pg_hba\.conf rejects replication connection/,
    );
});

test("programs of this host reach a node itself as before, the superuser and replication too", async () => {
  for (const user of ["odoo", "collectd", "reporting", "postgres", "boss"])
    expect([user, await logsIn("pg1", user)]).toEqual([user, true]);
  expect(await askForReplication(cluster.ports.nodes[0] ?? 0, "replicator")).toBe("answered");
});

test("a role that becomes a superuser passes no more, also as a member of one that passes", async () => {
  const admin = await cluster.session("pg1");
  await admin.rows("CREATE ROLE climber LOGIN PASSWORD 'secret' IN ROLE reporting");
  await waitFor("the new role to pass", async () => await logsIn("write", "climber"));
  await admin.rows("ALTER ROLE climber SUPERUSER");
  await waitFor("the superuser to be kept out", async () => !(await logsIn("write", "climber")));
  expect(await logsIn("read", "climber")).toBe(false);
  await admin.rows("ALTER ROLE climber NOSUPERUSER");
  await waitFor("the role to pass again", async () => await logsIn("write", "climber"));
});

test("the two roles by which that is told have no right, and nobody is asked about them", async () => {
  const admin = await cluster.session("pg1");
  const rows = await admin.rows(
    `SELECT rolname, rolsuper OR rolcanlogin OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls AS more
     FROM pg_roles WHERE rolname LIKE 'opg\\_%' ORDER BY 1`,
  );
  expect(rows).toEqual([
    { rolname: "opg_endpoint_barred", more: false },
    { rolname: "opg_endpoint_users", more: false },
  ]);
  const { stdout } = await cluster.run(["role", "list"]);
  expect(stdout).toContain("reporting");
  expect(stdout).not.toContain("opg_");
});

test("a node at an address of the network is reached from the same address of its own", async () => {
  const address = Object.values(networkInterfaces())
    .flatMap((found) => found ?? [])
    .find(({ family, internal }) => family === "IPv4" && !internal)?.address;
  if (address === undefined) return;
  const other = await throwawayCluster({ nodes: 1, config: { networks: [`${address}/32`], listen: ["*"] } });
  const [port = 0] = other.ports.nodes;
  other.configure({ nodes: [{ name: "pg1", host: address, port }] });
  await other.up();
  const odoo = await other.session("write", "odoo");
  expect(await odoo.value("SELECT host(inet_client_addr())")).toBe("127.79.80.71");
  await expect(other.session("write", "postgres")).rejects.toMatchObject({ code: "28000" });
});

test("where HAProxy has no address of its own, TCP of this host is for users of databases, and nodes replicate by the socket", async () => {
  // As on a machine with one loopback address only: a name says nothing about the address.
  const other = await throwawayCluster({ config: { listen: ["localhost"] } });
  const [first = 0, second = 0] = other.ports.nodes;
  other.configure({
    nodes: [
      { name: "pg1", host: "localhost", port: first },
      { name: "pg2", host: "localhost", port: second },
    ],
  });
  await other.up();
  await other.healthy();
  for (const target of ["read", "write", "pg1"] as const) {
    await (await other.session(target, "odoo")).close();
    await expect(other.session(target, "postgres")).rejects.toMatchObject({ code: "28000" });
  }
  expect(readFileSync(join(other.stateDir, "nodes", "pg2", "postgresql.conf"), "utf8")).toContain(
    `host=''${join(other.stateDir, "run")}''`,
  );
});
