import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Config } from "../../../src/config/schema.ts";
import { leastMachine } from "../../../src/hosts/decisions/settings/least-machine.ts";
import { dynamicChange } from "../../../src/hosts/decisions/settings/dynamic.ts";
import { patroniDynamic } from "../../../src/hosts/render/patroni.ts";
import {
  changesBetween,
  refuseChanges,
  unfitForHosts,
  withChanges,
} from "../../../src/hosts/decisions/settings/configure.ts";
import { planRestart } from "../../../src/hosts/decisions/settings/restart.ts";
import { resolvedConfigSchema } from "../../../src/config/schema.ts";
import { reportingHost, storeOf } from "../standins.ts";

const config: Config = resolvedConfigSchema.parse({ state_dir: "/s", listen: ["127.0.0.1"] });

describe("a changed configuration", () => {
  const parametersOf = (parameters: Record<string, string>): Config => ({
    ...config,
    postgres: { ...config.postgres, parameters },
  });

  test("is what differs, value by value, and makes the one of the other", () => {
    const parameters = fc.dictionary(fc.constantFrom("work_mem", "a.b", "jit"), fc.constantFrom("1", "2"));
    fc.assert(
      fc.property(parameters, parameters, fc.nat(500), (before, after, wait) => {
        const [old, fresh] = [parametersOf(before), parametersOf(after)];
        const wanted = { ...fresh, endpoints: { ...fresh.endpoints, wait_seconds: 1 + wait } };
        const changes = changesBetween(old, wanted);
        expect(withChanges(old, JSON.parse(JSON.stringify(changes)))).toEqual(wanted);
        expect(changesBetween(wanted, wanted)).toEqual([]);
      }),
    );
  });

  test("leaves alone what another host's file changed", () => {
    const changes = changesBetween(parametersOf({}), parametersOf({ work_mem: "8MB" }));
    const cluster = parametersOf({ jit: "off" });
    expect(withChanges(cluster, changes)).toEqual(parametersOf({ jit: "off", work_mem: "8MB" }));
  });

  test("is refused for what is of one host", () => {
    const moved = changesBetween(config, { ...config, listen: ["127.0.0.1", "10.0.0.7"] });
    expect(refuseChanges(moved)).toMatch(/listen cannot be changed/);
    expect(refuseChanges(changesBetween(config, parametersOf({ work_mem: "8MB" })))).toBeUndefined();
  });

  test("that several hosts cannot have says why", () => {
    expect(unfitForHosts(config)).toBeUndefined();
    const upstream = { host: "192.0.2.9", port: 5432, user: "replicator", hot_standby: true };
    expect(unfitForHosts({ ...config, upstream })?.write).toBe("no `upstream`");
    // Each host with a database keeps a copy of the repository.
    const backup = { ...config.backup, any_second: { ...config.backup.any_second, enabled: true } };
    expect(unfitForHosts({ ...config, backup })).toBeUndefined();
  });
});

describe("what Patroni is told", () => {
  test("all replicas are waited for, and each has a slot that stays", () => {
    expect(patroniDynamic(["h1", "h2", "h3"], {})).toMatchObject({
      synchronous_mode: true,
      synchronous_node_count: 2,
      failsafe_mode: true,
      primary_start_timeout: 0,
      primary_stop_timeout: 8,
      slots: { h1: {}, h2: {}, h3: {} },
    });
  });

  test("alone, a server that crashed is waited for, and one that stops", () => {
    expect(patroniDynamic(["h1"], {})).toMatchObject({
      synchronous_node_count: 1,
      primary_start_timeout: 300,
      primary_stop_timeout: 0,
    });
  });

  test("a pause stays when something else is changed, and the same is written once", () => {
    const changed = dynamicChange('{"pause":true,"ttl":30}', { ttl: 20 });
    expect(JSON.parse(changed ?? "")).toEqual({ pause: true, ttl: 20 });
    expect(dynamicChange(changed, { ttl: 20 })).toBeUndefined();
  });

  test("the order of keys makes no change", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[a-z_]{1,8}$/), fc.integer()), (wanted) => {
        const reversed = Object.fromEntries(Object.entries(wanted).toReversed());
        expect(dynamicChange(JSON.stringify(reversed), JSON.parse(JSON.stringify(wanted)))).toBeUndefined();
      }),
    );
  });
});

describe("for which machine settings are chosen", () => {
  const host = (name: string, machine: unknown, role: "database" | "witness" = "database") =>
    reportingHost(name, { machine }, { role });
  const GB = 1024 ** 3;

  test("for what every host with a database has at least: each may be the primary", () => {
    const hosts = [
      host("h1", { memory_bytes: 64 * GB, cpus: 4, disk: "ssd" }),
      host("h2", { memory_bytes: 16 * GB, cpus: 16, disk: "hdd" }),
      host("w", { memory_bytes: GB, cpus: 1, disk: "ssd" }, "witness"),
      { ...host("h3", null), report: null },
    ];
    expect(leastMachine({ hosts })).toEqual({
      memoryBytes: 16 * GB,
      cpus: 4,
      disk: "hdd",
      of: ["h1", "h2"],
      unknown: ["h3"],
    });
  });

  test("for none where no host says", () => {
    expect(leastMachine({ hosts: [host("h1", null)] })).toBeUndefined();
  });
});

describe("a restart over hosts", () => {
  const databases = ["h1", "h2", "h3"];
  const store = storeOf({ synchronous: ["h2", "h3"] });

  test("goes replicas first, and the primary last, after another has taken over", () => {
    expect(planRestart({ store, storeAnswers: true, databases, hosts: databases })).toEqual({
      kind: "steps",
      steps: [
        { kind: "restart", host: "h2" },
        { kind: "restart", host: "h3" },
        { kind: "hand over", to: "h2", from: "h1" },
      ],
    });
  });

  test("a primary is never restarted while a replica could take over, and each host once", () => {
    fc.assert(
      fc.property(
        fc.subarray(databases),
        fc.subarray(["h2", "h3"]),
        fc.constantFrom("h1", "h2"),
        (hosts, others, leader) => {
          const synchronous = others.filter((name) => name !== leader);
          const plan = planRestart({
            store: storeOf({ leader, synchronous }),
            storeAnswers: true,
            databases,
            hosts,
          });
          if (plan.kind !== "steps") throw new Error(plan.why);
          const restarted = plan.steps.map((step) => (step.kind === "restart" ? step.host : step.from));
          expect([...restarted].sort()).toEqual([...hosts].sort());
          const handed = plan.steps.findIndex((step) => step.kind === "hand over");
          expect(handed >= 0).toBe(hosts.includes(leader) && synchronous.length > 0);
          if (hosts.includes(leader)) expect(restarted.at(-1)).toBe(leader);
        },
      ),
    );
  });

  test("in place goes to the primary first, and nobody takes over", () => {
    const input = { store, storeAnswers: true, databases, hosts: databases, primary: "in place" } as const;
    expect(planRestart(input)).toEqual({
      kind: "steps",
      steps: ["h1", "h2", "h3"].map((host) => ({ kind: "restart", host })),
    });
  });

  test("waits for a primary and a majority", () => {
    for (const changes of [{ storeAnswers: false }, { store: storeOf({ leader: undefined }) }])
      expect(planRestart({ store, storeAnswers: true, databases, hosts: ["h2"], ...changes }).kind).toBe(
        "refuse",
      );
  });
});
