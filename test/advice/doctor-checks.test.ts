import { describe, expect, test } from "vitest";
import { diagnose } from "../../src/advice/doctor/diagnose.ts";
import { doctorDocument, doctorDocumentSchema } from "../../src/advice/doctor/document.ts";
import { seen, unseen, type Evidence } from "../../src/advice/doctor/evidence.ts";
import { findingCodes } from "../../src/model/troubles/troubles.ts";
import { psqlOn } from "../../src/advice/doctor/next-commands.ts";
import { printCommand, printNext } from "../../src/next-step.ts";
import { doctorSheet } from "../../src/cli/watch/doctor-sheet.ts";
import { runProgram } from "../support/program.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import {
  catalog,
  CONFIG,
  database,
  evidence,
  GB,
  listed,
  node,
  NOW,
  odoo,
  odooConf,
  replica,
  role,
  server,
  settings,
} from "./doctor-evidence.ts";
import { DAY, withPrimary, withCatalog, withRole, idle, FAULTS } from "./doctor-faults.ts";

test("nothing is found in a healthy cluster", () => {
  expect(diagnose(evidence())).toEqual([]);
});

describe("every finding of the registry", () => {
  test.each(Object.entries(FAULTS))("%s is found where it is, and nothing else", (code, fault) => {
    const found = diagnose(fault);
    expect(found.map((one) => one.code)).toEqual([code]);
    expect(Object.keys(found[0]?.evidence ?? {})).not.toEqual([]);
  });

  test("stands in the table of faults above", () => {
    expect(Object.keys(FAULTS).sort()).toEqual(findingCodes().sort());
  });
});

describe("what to do next", () => {
  const commands = Object.values(FAULTS)
    .flatMap((fault) => diagnose(fault))
    .flatMap(({ next_step }) => next_step)
    .flatMap((part) => (typeof part !== "string" && part.program === "odoo-pg" ? [printCommand(part)] : []));

  /** `psql pg1`, `backup create`: the words of a command, then its options. */
  const wordsOf = (command: string): string[] =>
    (/^odoo-pg ((?:[a-z][a-z-]* ?)+)/.exec(command)?.[1] ?? "").trim().split(" ");

  test("is a command that exists, with options that it has", async () => {
    const home = temporaryFolder();
    const help = async (words: readonly string[]) => await runProgram([...words, "--help"], { home });
    const known = new Map<string, string>();
    const { stdout: root } = await help([]);
    expect(commands.length).toBeGreaterThan(30);
    for (const command of new Set(commands)) {
      const [first = "", second = ""] = wordsOf(command);
      expect(root, command).toMatch(new RegExp(`^  ${first}\\b`, "m"));
      const group = known.get(first) ?? (await help([first])).stdout;
      known.set(first, group);
      const words = group.includes("\nCommands:") ? [first, second] : [first];
      const text = known.get(words.join(" ")) ?? (await help(words)).stdout;
      known.set(words.join(" "), text);
      if (words.length > 1) expect(group, command).toMatch(new RegExp(`^  ${second}\\b`, "m"));
      const own = command.split(" -- ")[0] ?? "";
      for (const [option] of own.matchAll(/(?<= )--[a-z-]+/g)) expect(text, command).toContain(option);
    }
  });

  test("is a command by which a name may hold spaces, quotes and an equals sign", () => {
    expect(printCommand(psqlOn("pg1", [`SELECT 'it''s'`], "dbname=x y"))).toBe(
      `odoo-pg psql pg1 -- -d 'dbname='\\''dbname=x y'\\''' -c 'SELECT '\\''it'\\'''\\''s'\\'''`,
    );
    expect(printCommand(psqlOn("pg1", ["SELECT 1"], "shop"))).toBe(
      "odoo-pg psql pg1 -- -d shop -c 'SELECT 1'",
    );
  });

  test("names the configuration where a setting stands there", () => {
    const inFile = seen(new Map([["fsync", { value: "off", file: "/state/nodes/pg1/postgresql.conf" }]]));
    const [found] = diagnose(withPrimary({ settings: inFile }));
    expect(printNext(found?.next_step ?? [])).toContain("postgres.parameters");
    expect(printNext(found?.next_step ?? [])).toMatch(/odoo-pg up$/);
  });
});

describe("limits", () => {
  const codes = (fault: Evidence): string[] => diagnose(fault).map(({ code }) => code);

  test("connections are reckoned as Odoo opens them", () => {
    // 297 for all but superusers. Four workers, two for scheduled actions, one for long polling: 7 × 40 + 1 + 15 = 296.
    expect(codes(evidence({ odooConf: odooConf({ db_maxconn: "40" }) }))).toEqual([]);
    expect(codes(evidence({ odooConf: odooConf({ db_maxconn: "41" }) }))).toEqual([
      "odoo_connections_exceed",
    ]);
    // One process with threads shares one pool.
    expect(codes(evidence({ odooConf: odooConf({ workers: "0", db_maxconn: "250" }) }))).toEqual([]);
    expect(codes(evidence({ odooConf: odooConf({ db_maxconn: "46", db_maxconn_gevent: "4" }) }))).toEqual([]);
  });

  test("clients that share sessions at both endpoints are none of the server's", () => {
    const pooledAt = (...names: readonly ("read" | "write")[]): Evidence => {
      const fault = evidence({ odooConf: odooConf({ db_maxconn: "64" }) });
      const { read, write } = fault.config.endpoints;
      const of = (name: "read" | "write") =>
        ({ pooling: names.includes(name) ? "transaction" : "none" }) as const;
      const endpoints = {
        ...fault.config.endpoints,
        read: { ...read, ...of("read") },
        write: { ...write, ...of("write") },
      };
      return { ...fault, config: { ...fault.config, endpoints } };
    };
    expect(codes(pooledAt("read", "write"))).toEqual([]);
    expect(codes(pooledAt("write"))).toEqual(["odoo_connections_exceed"]);
  });

  test("what it says of db_maxconn fits", () => {
    const [found] = diagnose(evidence({ odooConf: odooConf({ db_maxconn: "64" }) }));
    const proposed = /db_maxconn = (\d+)/.exec(printNext(found?.next_step ?? []))?.[1];
    expect(codes(evidence({ odooConf: odooConf({ db_maxconn: proposed }) }))).toEqual([]);
  });

  test("a scheduled action's cursor is told by its lock on ir_cron, or by its words", () => {
    expect(codes(idle(4000, { names_cron: true }))).toEqual(["cron_in_transaction"]);
    expect(codes(idle(400, { row_locks: [16_999] }))).toEqual([]);
    expect(codes(idle(400, { row_locks: [1] }))).toEqual(["idle_in_transaction"]);
    expect(codes(idle(299))).toEqual([]);
  });

  test("an unaccent that Odoo does not use is not missed", () => {
    const without = odoo({ extensions: ["pg_trgm", "plpgsql"], unaccent_volatility: null });
    const shop = seen(catalog({ each: new Map([["shop", seen(database({ odoo: seen(without) }))]]) }));
    expect(codes(evidence({ catalog: shop }))).toEqual(["extension_missing"]);
    const conf = odooConf({ unaccent: "False" });
    expect(codes(evidence({ catalog: shop, odooConf: conf }))).toEqual([]);
    expect(codes({ ...FAULTS.unaccent_index_missing, odooConf: conf })).toEqual([]);
  });

  test("a database that is not Odoo's owes nothing to Odoo", () => {
    const fault = withCatalog({
      databases: seen([listed("wiki", { owner: "collectd", collation: "en_US.UTF-8" })]),
      each: new Map([["wiki", seen(database({ odoo: seen(undefined) }))]]),
    });
    expect(codes(fault)).toEqual([]);
  });

  test("the replica that the superuser is kept away from by an earlier line is no hole", () => {
    const line = (number: number, user: string, method: string) => ({
      line: number,
      type: "hostssl",
      databases: ["all"],
      users: [user],
      address: "10.0.0.0/255.255.255.0",
      method,
      error: null,
    });
    const rules = [line(1, "postgres", "reject"), line(2, "all", "scram-sha-256")];
    expect(codes(withPrimary({ hba: seen(rules) }))).toEqual([]);
    expect(
      codes(withPrimary({ hba: seen(rules.toReversed().map((rule, at) => ({ ...rule, line: at }))) })),
    ).toEqual(["hba_superuser_remote"]);
  });

  test("nodes on one disk give one finding", () => {
    const disk = seen({ totalBytes: 100 * GB, freeBytes: 4 * GB });
    const found = diagnose(evidence({ nodes: [node("pg1", { disk }), node("pg2", { disk })] }));
    expect(found.map(({ code }) => code)).toEqual(["disk_nearly_full"]);
    expect(found[0]?.message).toContain("pg1, pg2");
  });

  test("a cluster without databases needs no backups", () => {
    const fresh = {
      catalog: seen(catalog({ databases: seen([listed("postgres")]), each: new Map() })),
      backups: seen({ record: undefined, launchedAt: new Date(NOW - 1000).toISOString() }),
    };
    expect(codes(evidence(fresh))).toEqual([]);
    const config = { ...CONFIG, backup: { ...CONFIG.backup, enabled: false } };
    expect(codes(evidence({ ...fresh, config }))).toEqual([]);
  });
});

describe("what was not looked at", () => {
  const blind = evidence({
    nodes: [
      node("pg1", { server: seen(server({ hba: unseen("permission denied") })) }),
      node("pg2", { server: unseen("it is not running"), disk: unseen("it did not answer in time") }),
    ],
    catalog: seen(catalog({ each: new Map([["shop", unseen("there was no time left")]]) })),
    odooConf: unseen("name it"),
    backups: unseen("turned off here"),
    forecasts: unseen("not measured"),
  });

  test("is told with its reason, each part by itself", () => {
    const document = doctorDocumentSchema.parse(doctorDocument(blind, undefined));
    expect(document).toMatchObject({ worst: "none", nodes: ["pg1"], databases: [], odoo_conf: null });
    expect(document.not_looked_at).toEqual([
      { what: "odoo.conf", why: "name it" },
      { what: "pg_hba.conf of pg1", why: "permission denied" },
      { what: "the server pg2", why: "it is not running" },
      { what: "disk of pg2", why: "it did not answer in time" },
      { what: "database shop", why: "there was no time left" },
      { what: "backups", why: "turned off here" },
      { what: "days left on the disks", why: "not measured" },
    ]);
  });

  test("is never called well", () => {
    const sheet = doctorSheet(doctorDocument(blind, undefined), { colours: false, width: 100 });
    expect(sheet).toMatch(/Nothing is wrong with what was checked\. 7 things were not checked\.$/);
    expect(sheet).not.toMatch(/\bok\b|all is well/i);
  });

  test("where the primary is somebody else's, it is one of these, and commands lead to it", () => {
    const followed = evidence({
      follows: true,
      nodes: [node("pg2")],
      catalog: seen(
        catalog({ node: "pg2", target: "write", databases: seen([listed("shop", { owner: "postgres" })]) }),
      ),
    });
    const document = doctorDocument(followed, undefined);
    expect(document.not_looked_at.map(({ what }) => what)).toEqual(["the primary"]);
    expect(document.findings.map(({ code }) => code)).toEqual(["database_owner_wrong"]);
    expect(document.findings[0]?.next).toMatch(/^odoo-pg psql write -- /);
  });

  test("where nothing could be, that is the last word", () => {
    const nothing = evidence({
      nodes: [node("pg1", { server: unseen("it is not running") })],
      catalog: unseen("the primary does not answer"),
      odooConf: unseen("name it"),
      backups: unseen("turned off"),
    });
    const sheet = doctorSheet(doctorDocument(nothing, undefined), { colours: false, width: 100 });
    expect(sheet.split("\n").at(-1)).toBe("● Nothing was checked.");
  });
});

describe("the sheet", () => {
  test("tells the worst first, each with its figures and what to do, and sums up at the end", () => {
    const fault = evidence({
      nodes: [
        node("pg1", { server: seen(server({ settings: settings({ fsync: "off" }) })) }),
        node("pg2", {
          server: seen(
            replica({
              conflicts: seen({ by_reason: { lock: 12, snapshot: 0 }, counted_seconds: 3 * DAY }),
              clock: seen({ ahead_seconds: 61.04, since_sent_seconds: null }),
            }),
          ),
        }),
      ],
    });
    expect(doctorSheet(doctorDocument(fault, undefined), { colours: false, width: 100 })).toBe(
      [
        "prod  checked pg1, pg2 · 1 database · /etc/odoo/odoo.conf",
        "✖ pg1 runs with fsync off: after a power cut its data may be beyond repair.",
        "  fsync_off: fsync off",
        "  Next: odoo-pg doctor --fix fsync_off",
        "▲ The clock of pg2 is 61.0 s ahead of this host's.",
        "  clock_skew: ahead 61 s",
        "  Next: let a time service set both clocks (chrony, systemd-timesyncd), and check: timedatectl",
        "◆ pg2 has cancelled 12 reads in 3 days, because replay needed what they used.",
        "  replica_conflicts: lock 12 · snapshot 0 · counted 3 days",
        "  Next: odoo-pg psql pg2 -- -c 'SELECT * FROM pg_stat_database_conflicts' -c 'SHOW max_standby_streaming_delay'",
        "✖ 1 critical, 1 warning, 1 piece of advice. What each means: docs/advice.md",
      ].join("\n"),
    );
  });

  test("has colours where they are wanted, and never words of a server that take over the terminal", () => {
    const fault = withRole(role("bo\u001b[31mss", { superuser: true }));
    const style = { width: 100, colours: true };
    const sheet = doctorSheet(doctorDocument(fault, undefined), style);
    expect(sheet).toContain("\u001b[36m◆");
    expect(sheet).not.toContain("bo\u001b");
  });
});
