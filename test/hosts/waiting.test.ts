import * as fc from "fast-check";
import { expect, test } from "vitest";
import { nodeLayoutOf, layoutOf } from "../../src/config/layout.ts";
import { resolvedConfigSchema, type Config } from "../../src/config/schema.ts";
import { DEFAULTS, settingsToKeep } from "../../src/config/settings/table.ts";
import {
  isForgotten,
  nobodyWaits,
  waitingFor,
  type NobodyWaits,
  type RestartSeen,
} from "../../src/hosts/decisions/settings/waiting.ts";
import { configOf } from "../../src/hosts/documents/host-config.ts";
import { documentSchema, type ClusterDocument, type HostRecord } from "../../src/hosts/documents/record.ts";
import { SHARED_SETTINGS } from "../../src/hosts/render/patroni.ts";
import { renderHostSettings, wantedParameters } from "../../src/hosts/render/server.ts";

const OF_FILE = ["shared_buffers", "shared_preload_libraries", "archive_mode", "some.extension_size"];
const OF_MACHINE = ["cluster_name", "hba_file", "listen_addresses", "port", "hot_standby"];
const some = (names: readonly string[]) => fc.subarray([...names]);

test("nothing that no up has changed is restarted for, whoever says that it waits", () => {
  fc.assert(
    fc.property(
      some([...OF_FILE, ...OF_MACHINE, ...SHARED_SETTINGS]),
      some([...OF_FILE, ...OF_MACHINE, ...SHARED_SETTINGS]),
      (byServer, byPatroni) => {
        const { asked, others } = waitingFor({ byServer, byPatroni }, []);
        expect(asked).toEqual([]);
        // A person is told of it.
        for (const name of byServer) expect(others.includes(name)).toBe(!OF_MACHINE.includes(name));
      },
    ),
  );
});

test("what up has changed is restarted for until the server says that it waits no more, and nothing else with it", () => {
  const all = [...OF_FILE, ...SHARED_SETTINGS];
  fc.assert(
    fc.property(some(all), some(all), some(all), (byServer, byPatroni, changed) => {
      const { asked, others } = waitingFor({ byServer, byPatroni }, changed);
      for (const name of changed) if (byServer.includes(name)) expect(asked).toContain(name);
      for (const name of asked) expect(changed).toContain(name);
      for (const name of others) expect(changed).not.toContain(name);
    }),
  );
});

test("Patroni is not believed of a setting of the file: it tells what it saw when it last read its own configuration", () => {
  const changed = ["shared_buffers", "max_connections"];
  expect(waitingFor({ byServer: [], byPatroni: changed }, changed)).toEqual({
    // A replica may have been started with more of them than its file says.
    asked: ["max_connections"],
    others: [],
  });
});

test("a restart is asked for until every server has been seen without it for a minute, whoever restarted it", () => {
  const done: RestartSeen = { answers: true, applies: true, asked: [] };
  const notDone: RestartSeen[] = [
    { ...done, answers: false },
    { ...done, applies: false },
    { ...done, asked: ["shared_buffers"] },
  ];
  const look = fc.record({
    servers: fc.oneof(
      { weight: 6, arbitrary: fc.constant([done, done]) },
      { weight: 1, arbitrary: fc.constantFrom(...notDone).map((server) => [done, server]) },
    ),
    settings: fc.oneof(
      { weight: 8, arbitrary: fc.constant(["shared_buffers"]) },
      { weight: 1, arbitrary: fc.constantFrom(["max_connections"], []) },
    ),
    after: fc.integer({ min: 1, max: 40_000 }),
  });
  fc.assert(
    fc.property(fc.array(look, { minLength: 1, maxLength: 12 }), (looks) => {
      let quiet: NobodyWaits | undefined;
      let now = 0;
      let since: { readonly at: number; readonly of: string } | undefined;
      for (const { servers, settings, after } of looks) {
        now += after;
        quiet = nobodyWaits(quiet, settings, servers, now);
        const of = settings.join(" ");
        const isDone = settings.length > 0 && servers.every((server) => server === done);
        if (!isDone) since = undefined;
        else if (since?.of !== of) since = { at: now, of };
        expect(isForgotten(quiet, now)).toBe(since !== undefined && now - since.at >= 60_000);
      }
    }),
  );
  expect(nobodyWaits({ settings: "", since: 0 }, [], [done], 100_000)).toBeUndefined();
});

const MEMORY = fc.integer({ min: 1, max: 512 }).map((gigabytes) => gigabytes * 1024 ** 3);
const machine = fc.record({
  memoryBytes: MEMORY,
  cpus: fc.integer({ min: 1, max: 128 }),
  diskBytes: fc.integer({ min: 1, max: 8000 }).map((gigabytes) => gigabytes * 1024 ** 3),
  hasLoopbackNetwork: fc.boolean(),
});

function documentFor(settings: Readonly<Record<string, string>>, config: Config): ClusterDocument {
  return documentSchema.parse({
    format: 1,
    cluster: "odoo",
    system_identifier: "1",
    major: 17,
    config,
    settings,
    shared: {},
    port: 5433,
    hosts: [
      { name: "db1", role: "database", address: "10.0.0.1" },
      { name: "db2", role: "database", address: "10.0.0.2" },
    ],
  });
}

/** What a host makes of the document for its server, by its own machine and by its own file. */
function madeOn(document: ClusterDocument, name: string, diskBytes: number, hasLoopbackNetwork: boolean) {
  const layout = layoutOf("/var/lib/odoo-pg/odoo");
  const address = document.hosts.find((host) => host.name === name)?.address ?? "";
  const record: HostRecord = {
    format: 1,
    cluster: "odoo",
    name,
    role: "database",
    address,
    node: name,
    store: [],
  };
  const fileConfig = resolvedConfigSchema.parse({
    state_dir: "/var/lib/odoo-pg/odoo",
    listen: ["127.0.0.1"],
    // What this host's file says of the servers counts when `up` has put it into the document.
    postgres: { parameters: { shared_buffers: `${diskBytes % 7}GB`, max_connections: "77" } },
    backup: { enabled: hasLoopbackNetwork },
  });
  const config = configOf(document, record, { stateDir: layout.stateDir, fileConfig });
  const [node] = config.nodes;
  if (!node) throw new Error("no node");
  const input = {
    config,
    layout,
    node,
    files: nodeLayoutOf(layout, node),
    facts: { hasLoopbackNetwork, platform: "linux", major: 17, diskBytes },
    kept: document.settings,
    upstream: undefined,
    floor: {},
  };
  return { file: renderHostSettings(input), wanted: wantedParameters(input) };
}

/** Of settings that take effect at a restart alone: as PostgreSQL 17 has them, of those that we set. */
const AT_RESTART = [
  ...DEFAULTS.filter(({ restart }) => restart).map(({ name }) => name),
  ...SHARED_SETTINGS,
  "archive_mode",
  "logging_collector",
  "huge_pages",
  "wal_buffers",
];

test("hosts of different memory, processors and disks want the same of all that takes a restart", () => {
  fc.assert(
    fc.property(machine, machine, MEMORY, (one, other, first) => {
      const figures = {
        memoryBytes: first,
        cpus: one.cpus,
        nodes: 1,
        odooHere: false,
        readsAhead: true,
        disk: "ssd" as const,
        diskBytes: one.diskBytes,
      };
      const parameters = { max_connections: "200", huge_pages: "try", work_mem: "8MB" };
      const config = resolvedConfigSchema.parse({
        state_dir: "/var/lib/odoo-pg/odoo",
        listen: ["127.0.0.1"],
        postgres: { parameters },
      });
      const document = documentFor(settingsToKeep(figures, 17), config);
      const [a, b] = [
        madeOn(document, "db1", one.diskBytes, one.hasLoopbackNetwork),
        madeOn(document, "db2", other.diskBytes, other.hasLoopbackNetwork),
      ];
      for (const name of AT_RESTART) expect([name, b.wanted.get(name)]).toEqual([name, a.wanted.get(name)]);
      expect(a.wanted.get("max_connections")).toBe("200");
      // Patroni alone gives what hosts must share, and the file says nothing else of it.
      for (const name of SHARED_SETTINGS) expect(b.file).not.toMatch(new RegExp(`^${name} `, "m"));
    }),
  );
});
