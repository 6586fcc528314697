import { describe, expect, it } from "vitest";
import { readContract, mergeDocuments, type ContractInput } from "../../src/container/contract.ts";
import { fileVariables, withFileContents } from "../../src/container/file-variables.ts";
import { placeOf, placesOfOtherData, wayToOtherData } from "../../src/container/place.ts";
import { watchedNodes } from "../../src/container/watched-nodes.ts";
import { splitWords } from "../../src/container/words.ts";

function contract(env: Record<string, string>, more: Partial<ContractInput> = {}) {
  return readContract({
    env,
    args: [],
    place: { dataDir: "/var/lib/postgresql/data", stateDir: "/var/lib/postgresql/odoo-pg" },
    knownNode: undefined,
    passwordsKnown: new Set(),
    random: "c0ffee00",
    logsWritable: true,
    ...more,
  });
}

describe("the variables of a container", () => {
  it("make POSTGRES_USER Odoo's role and POSTGRES_PASSWORD its password, never a superuser's", () => {
    const { defaults, environment, problems } = contract({ POSTGRES_USER: "shop", POSTGRES_PASSWORD: "pw" });
    expect(problems).toEqual([]);
    expect(defaults).toMatchObject({ console: { listen: ["*"] }, odoo: { role: "shop" } });
    expect(environment).toEqual({ POSTGRES_USER: "shop", ODOO_PGSQL_PASSWD: "pw" });
  });

  it("leave Odoo's role its name where POSTGRES_USER is the superuser, and give openerp its own password", () => {
    expect(contract({ POSTGRES_USER: "postgres", POSTGRES_PASSWORD: "pw" })).toMatchObject({
      defaults: { odoo: {} },
      environment: { ODOO_PGSQL_PASSWD: "pw" },
    });
    expect(contract({ POSTGRES_USER: "openerp", POSTGRES_PASSWORD: "pw" }).environment).toMatchObject({
      OPENERP_PGSQL_PASSWD: "pw",
    });
  });

  it("without any password are an error, unless one is kept or in the user's own file", () => {
    expect(contract({}).problems).toEqual([expect.stringContaining("POSTGRES_PASSWORD_FILE")]);
    expect(contract({ OPENERP_PGSQL_PASSWD: "pw" }).problems).toEqual([]);
    expect(contract({}, { passwordsKnown: new Set(["odoo"]) }).problems).toEqual([]);
  });

  it("make a replica of SLAVEHOST with a name that stays, and without backups of its own", () => {
    const env = { SLAVEHOST: "primary", REPLICATOR_PGSQL_PASSWD: "pw", POSTGRES_PASSWORD: "odoo's" };
    const { defaults, environment, database, problems } = contract({ ...env, POSTGRES_DB: "shop" });
    expect(problems).toEqual([]);
    expect(database).toBeUndefined();
    expect(defaults).toMatchObject({ nodes: [{ name: "replica_c0ffee00" }], backup: { enabled: false } });
    // Odoo's is for the day on which the replica is promoted.
    expect(environment).toMatchObject({ SLAVEPASSWORD: "pw", ODOO_PGSQL_PASSWD: "odoo's" });
    const known = contract(env, { knownNode: "replica_1" }).defaults;
    expect(known).toMatchObject({ nodes: [{ name: "replica_1" }] });
  });

  it("do not take another role's password for the one to replicate with", () => {
    const env = { SLAVEHOST: "primary", SLAVEUSER: "somebody", REPLICATOR_PGSQL_PASSWD: "pw" };
    expect(contract(env).problems).toEqual([expect.stringContaining("SLAVEPASSWORD")]);
  });

  it("name the variable that a mistake is in", () => {
    const { problems } = contract(
      { POSTGRES_PASSWORD: "pä" },
      { place: { dataDir: "data", stateDir: "odoo-pg" } },
    );
    expect(problems).toEqual([
      expect.stringMatching(/^POSTGRES_PASSWORD: .*not printable ASCII/),
      expect.stringContaining("PGDATA must be an absolute path"),
    ]);
    expect(problems.join()).not.toContain("pä");
  });

  it("refuse what would let in anybody, or cannot be renamed", () => {
    const { problems } = contract({
      POSTGRES_PASSWORD: "pw",
      POSTGRES_HOST_AUTH_METHOD: "trust",
      POSTGRES_INITDB_WALDIR: "/wal",
    });
    expect(problems).toHaveLength(2);
  });

  it("make databases for openerp where POSTGRES_USER names that role, and for Odoo's role otherwise", () => {
    expect(contract({ POSTGRES_USER: "openerp", POSTGRES_PASSWORD: "pw" }).owner).toBe("openerp");
    expect(contract({ POSTGRES_USER: "shop", POSTGRES_PASSWORD: "pw" }).owner).toBeUndefined();
  });

  it("have pg_backup.config read where it can be", () => {
    const { defaults } = contract({ POSTGRES_PASSWORD: "pw" }, { backupConfig: "/copy" });
    expect(defaults).toMatchObject({ backup: { config_file: "/copy" } });
  });

  it("make POSTGRES_DB, unless that is there anyway", () => {
    expect(contract({ POSTGRES_PASSWORD: "pw", POSTGRES_DB: "shop" }).database).toBe("shop");
    expect(contract({ POSTGRES_PASSWORD: "pw", POSTGRES_DB: "postgres" }).database).toBeUndefined();
  });

  it("write the origin's log only where it can be written", () => {
    const file = "/var/log/pg_replication.log";
    expect(contract({}).defaults).toMatchObject({ replication_log: { format: "origin", file } });
    expect(contract({}, { logsWritable: false }).defaults["replication_log"]).toEqual({ format: "origin" });
  });
});

describe("the command of a container", () => {
  it("takes parameters as the program postgres does", () => {
    const args = ["-c", "work_mem=8MB", "--max-connections=50", "-cjit=on"];
    const { overrides, problems } = contract({ POSTGRES_PASSWORD: "pw" }, { args });
    expect(problems).toEqual([]);
    expect(overrides).toEqual({
      postgres: { parameters: { work_mem: "8MB", max_connections: "50", jit: "on" } },
    });
  });

  it.each([["-D"], ["-c"], ["work_mem=1MB"]])("does not understand %s", (...args) => {
    expect(contract({ POSTGRES_PASSWORD: "pw" }, { args }).problems).toEqual([
      expect.stringContaining("-c NAME=VALUE"),
    ]);
  });
});

describe("variables that name a file", () => {
  it("cannot be set together with the value", () => {
    const env = { POSTGRES_PASSWORD: "pw", POSTGRES_PASSWORD_FILE: "/run/secrets/pw" };
    const { problems } = fileVariables(env);
    expect(problems).toEqual([expect.stringContaining("both set")]);
    expect(problems.join()).not.toContain("pw,");
  });

  it("count for nothing when they are empty, as compose hands them on", () => {
    const { files, problems } = fileVariables({ POSTGRES_PASSWORD: "", POSTGRES_PASSWORD_FILE: "/pw" });
    expect(problems).toEqual([]);
    expect([...files]).toEqual([["POSTGRES_PASSWORD", "/pw"]]);
    expect(fileVariables({ POSTGRES_PASSWORD: "pw", POSTGRES_PASSWORD_FILE: "" }).problems).toEqual([]);
  });

  it("become the value, without the file's last line break", () => {
    const env = { POSTGRES_PASSWORD: "", POSTGRES_PASSWORD_FILE: "/pw", SLAVEHOST: "db", OTHER: "" };
    expect(withFileContents(env, new Map([["POSTGRES_PASSWORD", "secret\n"]]))).toEqual({
      POSTGRES_PASSWORD: "secret",
      SLAVEHOST: "db",
      OTHER: "",
    });
  });
});

describe("the place of the data", () => {
  const pgdata = "/var/lib/postgresql/data";

  it("is PGDATA, with the state directory beside it on the same volume", () => {
    expect(placeOf(pgdata, { version: undefined, isMountPoint: false })).toEqual({
      dataDir: pgdata,
      stateDir: "/var/lib/postgresql/odoo-pg",
    });
  });

  it("is below PGDATA where that is a mount point, which a reseed could not rename", () => {
    const place = placeOf(pgdata, { version: undefined, isMountPoint: true });
    expect(place).toEqual({ dataDir: `${pgdata}/main`, stateDir: `${pgdata}/odoo-pg` });
  });

  it("is PGDATA where data lies there already, mount point or not", () => {
    const place = placeOf(pgdata, { version: "17", isMountPoint: true });
    expect(place).toEqual({ dataDir: pgdata, stateDir: "/var/lib/postgresql/odoo-pg" });
  });

  it("of a volume of its own has the state on the volume that every container has, wherever PGDATA is", () => {
    const place = placeOf("/srv/pg", { version: "17", isMountPoint: true });
    expect(place).toEqual({ dataDir: "/srv/pg", stateDir: "/var/lib/postgresql/odoo-pg" });
    expect(placeOf("/srv/pg/data", { version: "17", isMountPoint: false }).stateDir).toBe("/srv/pg/odoo-pg");
  });
});

describe("data that lies elsewhere on a volume", () => {
  const places = (pgdata: string, dataDir: string, names: Record<string, string[]> = {}) =>
    placesOfOtherData(pgdata, dataDir, (directory) => names[directory] ?? []);
  const home = "/var/lib/postgresql";

  it("is looked for where the official image has it, mounted too high or too low, and where others have it", () => {
    const found = places(`${home}/data`, `${home}/data`, { [home]: ["18", "9.3", "data", "odoo-pg"] });
    expect(found).toEqual(expect.arrayContaining([home, `${home}/18/docker`, `${home}/9.3/main`]));
    expect(found).not.toContain(`${home}/data`);
    const low = places(`${home}/data`, `${home}/data/main`);
    expect(low).toContain(`${home}/data/data`);
    expect(low).not.toContain(`${home}/data/main`);
  });

  it("is told with the way to it", () => {
    expect(wayToOtherData(home)).toContain(`at ${home}/data, and another one at ${home}`);
    expect(wayToOtherData(`${home}/data/data`)).toBe(`Mount that volume at ${home}.`);
    expect(wayToOtherData("/srv/17/main")).toContain("PGDATA=/srv/17/main");
  });
});

describe("small readings", () => {
  it("splits words as a shell does", () => {
    expect(splitWords(`--a=1  --b='x y' "c \\"d" e\\ f ''`)).toEqual(["--a=1", "--b=x y", 'c "d', "e f", ""]);
    expect(splitWords("  ")).toEqual([]);
  });

  it("names watched nodes after their hosts", () => {
    expect(watchedNodes("primary, replica-2:6432 10.0.0.5")).toEqual([
      { name: "primary", host: "primary", port: 5432 },
      { name: "replica_2", host: "replica-2", port: 6432 },
      { name: "n10_0_0_5", host: "10.0.0.5", port: 5432 },
    ]);
  });

  it("joins sections and replaces everything else", () => {
    const below = { a: { x: 1, y: 2 }, list: [1] };
    expect(mergeDocuments(below, { a: { y: 3 }, list: [2] })).toEqual({ a: { x: 1, y: 3 }, list: [2] });
  });
});
