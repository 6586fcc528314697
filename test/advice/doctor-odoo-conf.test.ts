import { describe, expect, test } from "vitest";
import { readOdooConf } from "../../src/advice/doctor/odoo-conf.ts";
import { OdooPgError } from "../../src/errors.ts";

const read = (...lines: readonly string[]) => readOdooConf("odoo.conf", lines.join("\n")).options;

function refusal(...lines: readonly string[]): string {
  try {
    read(...lines);
  } catch (error) {
    if (error instanceof OdooPgError) {
      expect(error.code).toBe("config_invalid");
      return error.message;
    }
    throw error;
  }
  throw new Error("it was not refused");
}

describe("odoo.conf", () => {
  test("is read as Odoo reads it", () => {
    const options = read(
      "; a comment",
      "# another",
      "[options]",
      "DB_Host = 10.0.0.5",
      "db_port: 5436",
      "db_user=odoo = really",
      "addons_path = /a,",
      "    /b",
      "    db_port = 1",
      "workers = 6",
      "unaccent = True",
      "db_password = p%w;#d",
      "",
      "[queue_job]",
      "workers = nonsense",
    );
    expect(options).toMatchObject({
      db_host: "10.0.0.5",
      db_port: 5436,
      db_user: "odoo = really",
      workers: 6,
      unaccent: true,
    });
    expect(JSON.stringify(options)).not.toContain("p%w");
  });

  test("has Odoo's defaults, and what is False or None is not set", () => {
    expect(read("[options]", "db_replica_host = False", "db_port = None", "db_template =")).toEqual({
      db_maxconn: 64,
      workers: 0,
      max_cron_threads: 2,
      unaccent: false,
      limit_time_real: 120,
      limit_time_real_cron: -1,
    });
  });

  test.each([
    ["no section", ["db_port = 5436"], "before [options]"],
    ["another section only", ["[server]", "db_port = 5436"], "no section [options]"],
    ["nothing", [""], "no section [options]"],
    ["a line that is nothing", ["[options]", "what is this"], "line 2"],
    ["an option twice", ["[options]", "db_port = 1", "db_port = 2"], "db_port is there twice"],
    ["a section twice", ["[options]", "[options]"], "is there twice"],
    ["a port that is a word", ["[options]", "db_port = write"], "db_port: must be a whole number"],
    ["a port that cannot be", ["[options]", "db_port = 70000"], "db_port"],
    ["less than no workers", ["[options]", "workers = -1"], "workers"],
    ["no connections at all", ["[options]", "db_maxconn = 0"], "db_maxconn"],
    ["a switch that is neither", ["[options]", "unaccent = perhaps"], "unaccent: must be True or False"],
    ["a host of two lines", ["[options]", "db_host = a", "  b"], "db_host: holds a control character"],
    ["an unknown way of TLS", ["[options]", "db_sslmode = maybe"], "db_sslmode"],
  ])("with %s is refused, with what is wrong", (_what, lines, words) => {
    expect(refusal(...lines)).toContain(words);
  });

  test("is refused without a word of what stands in it", () => {
    const said = refusal("[options]", "db_password = hunter2", "hunter2", "db_port = hunter2");
    expect(said).not.toContain("hunter2");
    expect(refusal("[options]", "db_password = hunter2", "db_port = hunter2")).not.toContain("hunter2");
  });
});
