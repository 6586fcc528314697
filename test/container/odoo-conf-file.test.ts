import { describe, expect, it } from "vitest";
import { renderOdooConf } from "../../src/container/odoo-conf-file.ts";

const options = (password: string) =>
  Object.entries({
    db_host: "endpoints",
    db_user: "odoo",
    db_password: password,
    admin_passwd: "master",
  }).map(([name, value]) => ({ name, value, reason: `why ${name}` }));

describe("odoo.conf in the compose recipe", () => {
  it("is made whole, with a master password that is not Odoo's default", () => {
    expect(renderOdooConf(undefined, options("one"))).toMatch(
      /^\[options\]\n; why db_host\n.*^admin_passwd = master$/ms,
    );
  });

  it("keeps what its owner wrote, and has role and password right", () => {
    const own = renderOdooConf(undefined, options("one"))
      .replace("db_host = endpoints", "db_host = elsewhere")
      .replace("admin_passwd = master", "admin_passwd = $pbkdf2$own")
      .concat("workers = 4\n; db_password = a comment\n\n[queue_job]\ndb_password = another's\n");
    expect(renderOdooConf(own, options("two"))).toBe(own.replace("db_password = one", "db_password = two"));
    expect(renderOdooConf(own, options("one"))).toBe(own);
  });

  it("never lacks the master password, and holds no option twice", () => {
    const old = "[options]\nDB_Password: one\ndb_user=odoo\nworkers = 4\n\n[other]\nx = 1\n";
    expect(renderOdooConf(old, options("two"))).toBe(
      "[options]\ndb_password = two\ndb_user = odoo\nworkers = 4\nadmin_passwd = master\n\n[other]\nx = 1\n",
    );
    expect(renderOdooConf("", options("two"))).toContain(
      "[options]\ndb_user = odoo\ndb_password = two\nadmin_passwd = master\n",
    );
  });
});
