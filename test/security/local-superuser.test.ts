import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Role, type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { waitFor } from "../support/wait.ts";

function secret(cluster: ThrowawayCluster, role: Role): string {
  return join(cluster.stateDir, "secrets", `${role}.password`);
}

/** Writes over a file, as a program does that finds the disk full: owner and mode stay. */
function damage(file: string, text = ""): void {
  writeFileSync(file, text);
}

test("a secret that is empty or no password is named and refused, and neither role nor servers change", async () => {
  const cluster = await throwawayCluster({ nodes: 1 });
  await cluster.up();
  for (const [role, text] of [
    ["postgres", ""],
    ["replicator", "\n"],
    ["odoo", "two\nlines\n"],
    ["collectd", "\u0000\u0000\u0000"],
  ] as const) {
    const file = secret(cluster, role);
    const good = readFileSync(file, "utf8");
    damage(file, text);
    const ran = await cluster.run(["up"]);
    expect([role, ran.exitCode]).toEqual([role, 1]);
    expect(ran.stderr).toContain(`Error (state_dir_unusable): ${file} holds no password`);
    expect(ran.stderr).toContain("Next: ");
    expect(readFileSync(file, "utf8")).toBe(text);
    damage(file, good);
  }
  damage(secret(cluster, "odoo"));
  const conf = await cluster.run(["odoo-conf"]);
  expect(conf.exitCode).toBe(1);
  expect(conf.stdout).toBe("");
  rmSync(secret(cluster, "odoo"));
  await cluster.up();
  expect(await (await cluster.session("write", "odoo")).value("SELECT 1")).toBe(1);
});

test("the superuser's work on its host needs no password: a lost or damaged one is made anew by up", async () => {
  const cluster = await throwawayCluster({ nodes: 1 });
  await cluster.up();
  const file = secret(cluster, "postgres");
  const before = readFileSync(file, "utf8");
  damage(file);
  // Everything else goes on meanwhile.
  expect((await cluster.status()).verdict).toBe("ok");
  const psql = await cluster.run(["psql", "--", "-Atc", "SELECT current_user"]);
  expect(psql).toMatchObject({ exitCode: 0, stdout: "postgres\n" });
  expect((await cluster.run(["db", "list"])).exitCode).toBe(0);
  rmSync(file);
  await cluster.up();
  expect(readFileSync(file, "utf8") === before).toBe(false);
  // By TCP the password counts.
  expect(await (await cluster.session("pg1", "postgres")).value("SELECT current_user")).toBe("postgres");
});

test("a running cluster whose superuser has lost its password is taken over by up, and no session is cut", async () => {
  const cluster = await throwawayCluster({ nodes: 2 });
  await cluster.up();
  const odoo = await cluster.session("pg1", "odoo");
  const admin = await cluster.session("pg1", "postgres");
  // As the version before left it: a password at the socket, and the wrong one on the server.
  await admin.rows("ALTER ROLE postgres PASSWORD 'lost'");
  for (const node of ["pg1", "pg2"]) {
    const hba = join(cluster.stateDir, "nodes", node, "pg_hba.conf");
    damage(hba, readFileSync(hba, "utf8").replace(/^local all postgres peer.*\n/m, ""));
    const replica = await cluster.session(node === "pg1" ? "pg1" : "pg2", "odoo");
    await replica.close();
  }
  await admin.rows("SELECT pg_reload_conf()");
  process.kill(cluster.postmaster("pg2"), "SIGHUP");
  process.kill(cluster.agent(), "SIGKILL");
  await waitFor("nobody to get in as the superuser", async () => {
    const ran = await cluster.run(["psql", "--", "-Atc", "SELECT 1"]);
    return ran.stderr.includes("password authentication failed");
  });
  expect((await cluster.status()).verdict).not.toBe("ok");

  await cluster.up();
  await cluster.healthy();
  expect(await odoo.value("SELECT 1")).toBe(1);
  expect(await (await cluster.session("pg1", "postgres")).value("SELECT 1")).toBe(1);
});
