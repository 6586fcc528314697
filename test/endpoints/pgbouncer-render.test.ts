import * as fc from "fast-check";
import { expect, test } from "vitest";
import { layoutOf } from "../../src/config/layout.ts";
import { pgbouncerFiles } from "../../src/endpoints/pgbouncer/files.ts";
import {
  CONSOLE_USER,
  renderAccess,
  renderPgbouncer,
  type PgbouncerInput,
} from "../../src/endpoints/pgbouncer/render.ts";
import { poolSizes } from "../../src/endpoints/pgbouncer/sizes.ts";
import { renderUsers } from "../../src/endpoints/pgbouncer/userlist.ts";
import { scramVerifier } from "../../src/postgres/sql/access/scram.ts";

const plain: PgbouncerInput = {
  port: 5436,
  servers: { socket: 1 },
  listen: ["127.0.0.1"],
  networks: [],
  files: pgbouncerFiles(layoutOf("/var/lib/odoo-pg/odoo"), "write"),
  sizes: poolSizes(300, 1, 1),
  maxClients: 2000,
  waitSeconds: 60,
  version: [1, 18],
};

/** The value of a key of a section, as PgBouncer reads it. */
function valueOf(text: string, key: string): string | undefined {
  const line = text.split("\n").find((one) => one.startsWith(`${key} = `));
  return line?.slice(key.length + 3).trim();
}

test("transactions are pooled everywhere but in postgres, where Odoo listens", () => {
  const text = renderPgbouncer(plain);
  expect(valueOf(text, "pool_mode")).toBe("transaction");
  expect(valueOf(text, "postgres")).toContain("pool_mode=session");
  expect(valueOf(text, "*")).not.toContain("pool_mode");
});

test("what a client leaves behind is taken away before another one gets the session", () => {
  const text = renderPgbouncer(plain);
  const reset = valueOf(text, "server_reset_query")?.split("; ") ?? [];
  // What fails between these two ends the session.
  expect([reset[0], reset.at(-1)]).toEqual(["SET exit_on_error = on", "RESET ALL"]);
  expect(reset).toContain("DISCARD TEMP");
  expect(valueOf(text, "server_reset_query_always")).toBe("1");
});

test("prepared statements are followed where PgBouncer can", () => {
  expect(renderPgbouncer(plain)).not.toContain("max_prepared_statements");
  expect(renderPgbouncer({ ...plain, version: [1, 24] })).toContain("max_prepared_statements = 200");
});

test("a path with quotes and blanks stays one value", () => {
  const files = pgbouncerFiles(layoutOf("/srv/it's a 'place'"), "write");
  const text = renderPgbouncer({ ...plain, files });
  expect(valueOf(text, "*")).toBe("host='/srv/it''s a ''place''/run' port=1");
});

test("what goes to servers of other hosts is encrypted, and their certificates are looked at", () => {
  const servers = { address: "127.79.80.72", port: 5436, authority: "/var/lib/odoo-pg/odoo/tls/ca.crt" };
  const text = renderPgbouncer({ ...plain, servers });
  expect(valueOf(text, "*")).toBe("host=127.79.80.72 port=5436");
  expect(valueOf(text, "server_tls_sslmode")).toBe("verify-ca");
  expect(valueOf(text, "server_tls_ca_file")).toBe(servers.authority);
});

test("poolers of several hosts share what a server takes", () => {
  const [alone, three] = [poolSizes(310, 1, 1), poolSizes(310, 1, 1, 3)];
  expect(three.role * 3).toBeLessThanOrEqual(alone.role);
  expect(three.role).toBeGreaterThan(alone.role / 4);
});

test("other hosts come in by TLS alone, and only from the networks that may", () => {
  const lines = renderAccess(["fd00::/8", "10.0.0.0/8"]).split("\n");
  const open = lines.filter((line) => line.startsWith("host") && line.endsWith("scram-sha-256"));
  expect(open).toEqual([
    "host all all 127.0.0.0/8 scram-sha-256",
    "host all all ::1/128 scram-sha-256",
    "hostssl all all 10.0.0.0/8 scram-sha-256",
    "hostssl all all fd00::/8 scram-sha-256",
  ]);
  expect(renderAccess([])).not.toContain("hostssl");
});

test("it listens where the endpoint does, beside a HAProxy that hands the port over", () => {
  const text = renderPgbouncer({ ...plain, listen: ["10.0.0.1", "127.0.0.1", "10.0.0.1"] });
  expect(valueOf(text, "listen_addr")).toBe("10.0.0.1,127.0.0.1");
  expect(valueOf(text, "listen_port")).toBe("5436");
  expect(valueOf(text, "so_reuseport")).toBe("1");
});

test("the console is closed to all that comes by TCP, and its role is nobody there", () => {
  const lines = renderAccess(["10.0.0.0/8"]).split("\n");
  const first = (start: string): number => lines.findIndex((line) => line.startsWith(start));
  expect(first("host pgbouncer all")).toBeLessThan(first("host all all"));
  expect(first(`host all ${CONSOLE_USER}`)).toBeLessThan(first("host all all"));
  expect(lines.filter((line) => line.includes("trust"))).toEqual([`local pgbouncer ${CONSOLE_USER} trust`]);
});

const figures = fc.record({
  connections: fc.integer({ min: 1, max: 5000 }),
  owners: fc.integer({ min: 0, max: 40 }),
  poolers: fc.integer({ min: 1, max: 2 }),
});

test("pools never open more than the server takes, whatever there is of roles and poolers", () => {
  fc.assert(
    fc.property(figures, ({ connections, owners, poolers }) => {
      const sizes = poolSizes(connections, owners, poolers);
      // One role's pools in one database, with the reserve, and its sessions of postgres.
      expect(sizes.usual + sizes.reserve + sizes.sessions).toBeLessThanOrEqual(Math.max(2, sizes.role));
      expect(sizes.usual).toBeGreaterThan(0);
      expect(sizes.sessions).toBeGreaterThan(0);
      const all = sizes.role * Math.max(1, owners) * poolers;
      // Where there is not enough for everybody, each still gets two.
      expect(all <= connections || sizes.role === 2).toBe(true);
    }),
  );
});

/** Reads a list of users as PgBouncer does. Source: PgBouncer, src/loader.c, load_auth_file. */
function readUsers(text: string): Map<string, string> {
  const users = new Map<string, string>();
  const line = /"((?:[^"]|"")*)"\s+"((?:[^"]|"")*)"[^\n]*\n/y;
  for (let at = 0; at < text.length; at = line.lastIndex) {
    line.lastIndex = at;
    const match = line.exec(text);
    if (!match) throw new Error(`broken auth file at ${at}`);
    users.set((match[1] ?? "").replaceAll('""', '"'), (match[2] ?? "").replaceAll('""', '"'));
  }
  return users;
}

const secret = scramVerifier("secret");
const anyText = fc.string({ unit: "grapheme", minLength: 0, maxLength: 30 });

test("every role that can be written is read back as it is, whatever the others are called", () => {
  fc.assert(
    fc.property(fc.uniqueArray(anyText), anyText, (names, other) => {
      const roles = names.map((name) => ({ name, secret }));
      const users = readUsers(renderUsers([...roles, { name: other, secret: `md5"${other}` }]));
      for (const [name, read] of users) {
        if (name === CONSOLE_USER) continue;
        expect(names).toContain(name);
        expect(read).toBe(secret);
      }
      const writable = names.filter(
        (name) =>
          name !== "" && name !== CONSOLE_USER && Buffer.byteLength(name) <= 63 && !/\p{Cc}/u.test(name),
      );
      expect([...users.keys()].toSorted()).toEqual([...writable, CONSOLE_USER].toSorted());
    }),
  );
});

test("only SCRAM secrets are written, and never one for the console's role", () => {
  const roles = [
    { name: "old", secret: "md53175bce1d3201d16594cebf9d7eb3f9d" },
    { name: "plain", secret: "password" },
    { name: "broken", secret: 'SCRAM-SHA-256$4096:a"\n"x' },
    { name: CONSOLE_USER, secret },
    { name: "odoo", secret },
  ];
  expect([...readUsers(renderUsers(roles))]).toEqual([
    [CONSOLE_USER, ""],
    ["odoo", secret],
  ]);
});
