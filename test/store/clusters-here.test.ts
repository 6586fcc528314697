import { describe, expect, test } from "vitest";
import { stateDirNamedBy } from "../../src/store/clusters-here.ts";

describe("the state directory of a process", () => {
  test.each([
    [
      "that is an agent",
      [
        "/usr/bin/node",
        "/usr/lib/odoo-pg/odoo-pg.mjs",
        "agent",
        "--state-dir",
        "/srv/pg",
        "--user",
        "postgres",
      ],
      "/srv/pg",
    ],
    [
      "that is a server",
      [
        "/usr/lib/postgresql/17/bin/postgres",
        "-D",
        "/data/x",
        "-c",
        "config_file=/srv/pg/nodes/pg1/postgresql.conf",
      ],
      "/srv/pg",
    ],
    [
      "that is another PostgreSQL",
      ["postgres", "-c", "config_file=/etc/postgresql/17/main/postgresql.conf"],
      undefined,
    ],
    ["that is another agent", ["ssh-agent", "agent", "--socket", "/tmp/x"], undefined],
    ["that names no absolute place", ["node", "x", "agent", "--state-dir", "state"], undefined],
    ["of no arguments", [], undefined],
  ])("%s", (_, args, stateDir) => {
    expect(stateDirNamedBy(args)).toBe(stateDir);
  });
});
