import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { planEndpoints, planRemoval, type Action, type Wanted } from "../../src/endpoints/plan.ts";
import {
  fallbackServer,
  isFallback,
  nameOf,
  nodeOf,
  poolServer,
  writeServer,
  type ServerRef,
  type ServerState,
} from "../../src/endpoints/servers.ts";

function seenAs(ref: ServerRef, state: Partial<ServerState> = {}): ServerState {
  return { ...ref, node: nodeOf(ref), admin: "maint", up: false, sessions: 0, address: "", ...state };
}

const ready = { admin: "ready", up: true } as const;

/** All server lines of some nodes, those named ready. */
function cluster(nodes: readonly string[], readyRefs: readonly ServerRef[]): ServerState[] {
  const names = new Set(readyRefs.map(nameOf));
  return nodes
    .flatMap((node) => [writeServer(node), poolServer(node), fallbackServer(node)])
    .map((ref) => seenAs(ref, names.has(nameOf(ref)) ? ready : {}));
}

function words(actions: readonly Action[]): string[] {
  return actions.map((action) => {
    if (action.kind === "settle") return "settle";
    return `${nameOf(action.server)} ${action.kind === "set" ? action.state : "cut"}`;
  });
}

/** What HAProxy does on one order. */
function apply(states: readonly ServerState[], action: Action): ServerState[] {
  if (action.kind === "settle") return [...states];
  return states.map((state) => {
    if (nameOf(state) !== nameOf(action.server)) return state;
    if (action.kind === "cut") return { ...state, sessions: 0 };
    return action.state === "ready"
      ? { ...state, admin: "ready", up: true }
      : { ...state, admin: action.state, up: false };
  });
}

test("a node that the next configuration does not know is cut before it, and no other", () => {
  const seen = cluster(["pg1", "pg2", "pg3"], [writeServer("pg1"), poolServer("pg2"), poolServer("pg3")]);
  expect(planRemoval(["pg1", "pg2", "pg3"], seen)).toEqual([]);
  expect(words(planRemoval(["pg1", "pg2"], seen))).toEqual(["read/pg3 maint", "read/pg3 cut"]);
  const left = seen.map((state) => ({ ...state, admin: "maint", sessions: 2 }) as const);
  expect(words(planRemoval(["pg1", "pg2"], left))).toEqual([
    "write/pg3 cut",
    "read/pg3 cut",
    "read/pg3-fallback cut",
  ]);
});

describe("the order of things", () => {
  test("nothing is ordered when all is as wanted", () => {
    const seen = cluster(["pg1", "pg2"], [writeServer("pg1"), fallbackServer("pg1"), poolServer("pg2")]);
    expect(planEndpoints({ primary: "pg1", pool: ["pg2"] }, seen)).toEqual([]);
  });

  test("after a start the fallback comes first, then writes, then the pool", () => {
    expect(words(planEndpoints({ primary: "pg1", pool: ["pg2"] }, cluster(["pg1", "pg2"], [])))).toEqual([
      "read/pg1-fallback ready",
      "write/pg1 ready",
      "read/pg2 ready",
    ]);
  });

  test("a replica that leaves is drained, then in maintenance before its sessions are cut", () => {
    const seen = cluster(["pg1", "pg2"], [writeServer("pg1"), fallbackServer("pg1"), poolServer("pg2")]);
    expect(words(planEndpoints({ primary: "pg1", pool: [] }, seen))).toEqual([
      "read/pg2 drain",
      "settle",
      "read/pg2 maint",
      "read/pg2 cut",
    ]);
  });

  test("a switchover cuts the old primary before the new one takes writes", () => {
    const seen = cluster(["pg1", "pg2"], [writeServer("pg1"), fallbackServer("pg1"), poolServer("pg2")]);
    expect(words(planEndpoints({ primary: "pg2", pool: [] }, seen))).toEqual([
      "read/pg2-fallback ready",
      "read/pg2 drain",
      "settle",
      "write/pg1 maint",
      "read/pg1-fallback maint",
      "read/pg2 maint",
      "write/pg1 cut",
      "read/pg1-fallback cut",
      "read/pg2 cut",
      "write/pg2 ready",
    ]);
  });

  test("a replica that is down already does not wait for clients that log in", () => {
    const down = seenAs(poolServer("pg2"), { admin: "ready", up: false });
    expect(words(planEndpoints({ pool: [] }, [down]))).toEqual(["read/pg2 maint", "read/pg2 cut"]);
  });

  test("sessions that are left on a server in maintenance are cut", () => {
    const seen = [seenAs(poolServer("pg2"), { sessions: 3 })];
    expect(words(planEndpoints({ pool: [] }, seen))).toEqual(["read/pg2 cut"]);
  });

  test("while there is no primary, writes wait and the pool goes on", () => {
    const seen = cluster(["pg1", "pg2"], [writeServer("pg1"), fallbackServer("pg1"), poolServer("pg2")]);
    expect(words(planEndpoints({ pool: ["pg2"] }, seen))).toEqual([
      "write/pg1 maint",
      "read/pg1-fallback maint",
      "write/pg1 cut",
      "read/pg1-fallback cut",
    ]);
  });

  test("without any other node for reads, the joining member comes before the leaving one goes", () => {
    const seen = cluster(["pg2", "pg3"], [poolServer("pg2")]);
    expect(words(planEndpoints({ pool: ["pg3"] }, seen))).toEqual([
      "read/pg3 ready",
      "read/pg2 drain",
      "settle",
      "read/pg2 maint",
      "read/pg2 cut",
    ]);
  });

  test("a leaving member does not wait for a joining one when reads go on without it", () => {
    const seen = cluster(
      ["pg1", "pg2", "pg3"],
      [writeServer("pg1"), fallbackServer("pg1"), poolServer("pg2")],
    );
    expect(words(planEndpoints({ primary: "pg1", pool: ["pg3"] }, seen))).toEqual([
      "read/pg2 drain",
      "settle",
      "read/pg2 maint",
      "read/pg2 cut",
      "read/pg3 ready",
    ]);
  });

  test("a server that somebody has set to drain is brought to what is wanted", () => {
    const drained = seenAs(poolServer("pg2"), { admin: "drain" });
    expect(words(planEndpoints({ pool: ["pg2"] }, [drained]))).toEqual(["read/pg2 ready"]);
    expect(words(planEndpoints({ pool: [] }, [drained]))).toEqual(["read/pg2 maint", "read/pg2 cut"]);
  });

  test("a node that HAProxy does not know is left out", () => {
    expect(planEndpoints({ primary: "pg9", pool: ["pg8"] }, cluster(["pg1"], []))).toEqual([]);
  });
});

const nodes = ["pg1", "pg2", "pg3"];
const anyNode = fc.constantFrom(...nodes);
const anyWanted: fc.Arbitrary<Wanted> = fc.record({
  primary: fc.option(anyNode, { nil: undefined }),
  pool: fc.uniqueArray(anyNode),
});
const anyState = fc.record({
  admin: fc.constantFrom("ready", "maint", "drain"),
  up: fc.boolean(),
  sessions: fc.nat(3),
});
/** Any state but one with two nodes that take writes, which no plan may ever make. */
const anySeen = fc.array(anyState, { minLength: 9, maxLength: 9 }).map((states) => {
  let writer = false;
  return cluster(nodes, []).map((server, index) => {
    const state: ServerState = { ...server, ...states[index] };
    const up = state.admin === "ready" && state.up;
    if (state.backend !== "write" || state.admin !== "ready") return { ...state, up };
    if (writer) return { ...state, admin: "maint" as const, up: false };
    writer = true;
    return { ...state, up: true };
  });
});

function shallBeReady(wanted: Wanted, server: ServerState): boolean {
  if (server.backend === "write") return server.node === wanted.primary;
  if (!isFallback(server)) return wanted.pool.includes(server.node);
  return server.node === wanted.primary;
}

describe("from any state", () => {
  test("the plan leads to exactly what is wanted, with no session left where none shall be", () => {
    fc.assert(
      fc.property(anyWanted, anySeen, (wanted, seen) => {
        const end = planEndpoints(wanted, seen).reduce<readonly ServerState[]>(apply, seen);
        for (const server of end) {
          const isWanted = shallBeReady(wanted, server);
          expect(server.admin).toBe(isWanted ? "ready" : "maint");
          if (!isWanted) expect(server.sessions).toBe(0);
        }
        expect(planEndpoints(wanted, end)).toEqual([]);
      }),
    );
  });

  test("at no step do two nodes take writes, or one while another still has sessions that write", () => {
    fc.assert(
      fc.property(anyWanted, anySeen, (wanted, seen) => {
        let states = seen;
        for (const action of planEndpoints(wanted, seen)) {
          states = apply(states, action);
          const writers = states.filter((server) => server.backend === "write");
          expect(writers.filter((server) => server.admin === "ready").length).toBeLessThan(2);
          const joins =
            action.kind === "set" && action.state === "ready" && action.server.backend === "write";
          if (!joins) continue;
          const others = writers.filter((server) => nameOf(server) !== nameOf(action.server));
          expect(others.map(({ sessions }) => sessions)).toEqual(others.map(() => 0));
        }
      }),
    );
  });

  test("reads that have a node, and shall have one, have one at every step", () => {
    fc.assert(
      fc.property(anyWanted, anySeen, (wanted, seen) => {
        const readable = (states: readonly ServerState[]): boolean =>
          states.some((server) => server.backend === "read" && server.admin === "ready" && server.up);
        const wantsReads = seen.some((server) => server.backend === "read" && shallBeReady(wanted, server));
        // A wanted member that is ready but down may be all there is: no order can change that.
        const downMembers = seen.some(
          (server) =>
            server.backend === "read" &&
            shallBeReady(wanted, server) &&
            server.admin === "ready" &&
            !server.up,
        );
        if (!readable(seen) || !wantsReads || downMembers) return;
        let states = seen;
        for (const action of planEndpoints(wanted, seen)) {
          states = apply(states, action);
          expect(readable(states)).toBe(true);
        }
      }),
    );
  });

  test("sessions are only ever cut on a server that takes none any more", () => {
    fc.assert(
      fc.property(anyWanted, anySeen, (wanted, seen) => {
        let states = seen;
        for (const action of planEndpoints(wanted, seen)) {
          if (action.kind === "cut") {
            const target = states.find((server) => nameOf(server) === nameOf(action.server));
            expect(target?.admin).toBe("maint");
          }
          states = apply(states, action);
        }
      }),
    );
  });
});
