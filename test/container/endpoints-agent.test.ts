import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { EndpointsAgent, endpointsViewFile } from "../../src/container/endpoints-agent.ts";
import { layoutOf } from "../../src/config/layout.ts";
import { resolveConfig } from "../../src/config/resolve.ts";
import { findHaproxy } from "../../src/endpoints/haproxy.ts";
import { readMachine } from "../../src/system/machine.ts";
import { connect } from "../../src/system/sql/sql.ts";
import { freePorts } from "../support/ports.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";
import { runningNode } from "../postgres/throwaway-node.ts";

const PASSWORD = "to-look-with";

function read(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}

test("endpoints of nodes that others run lead writes to the one that answers as a primary, and outlive it", async () => {
  const node = await runningNode();
  const superuser = await node.session();
  await superuser.query(`CREATE ROLE collectd LOGIN PASSWORD '${PASSWORD}' IN ROLE pg_monitor`);
  const [readPort, writePort, nobody] = await freePorts(3);
  const { config } = resolveConfig({
    file: {
      path: "test.yaml",
      text: JSON.stringify({
        cluster: "watched",
        state_dir: `${temporaryFolder()}/s`,
        nodes: [
          { name: "here", host: "127.0.0.1", port: node.node.port },
          { name: "gone", host: "127.0.0.1", port: nobody },
        ],
        endpoints: { read: { port: readPort, consistency: "bounded" }, write: { port: writePort } },
      }),
    },
    env: {},
    defaults: { isRoot: false, home: "/nowhere", platform: "linux" },
  });
  const layout = layoutOf(config.state_dir);
  const lines: string[] = [];
  const agent = new EndpointsAgent({
    served: { config, machine: readMachine(), upstream: undefined, kept: {}, elsewhere: true },
    layout,
    haproxy: await findHaproxy(undefined, { searchPath: process.env["PATH"] ?? "", install: () => "" }),
    password: PASSWORD,
    log: (level, line) => lines.push(`${level} ${line}`),
  });
  await agent.open();
  const running = agent.run();
  atEnd(async () => {
    agent.stop();
    await running;
  });
  const view = (): unknown => read(endpointsViewFile(layout));
  const seen = (state: string) => ({
    primary: "here",
    pool: [],
    nodes: [
      { name: "here", state },
      { name: "gone", state: "unreachable" },
    ],
  });
  await waitFor("the primary is found", () => {
    expect(view()).toMatchObject(seen("primary"));
    return true;
  });
  expect(read(join(layout.stateDir, "write-endpoint.json"))).toMatchObject({ name: "here", timeline: 1 });
  const identifier = async (port: number | undefined): Promise<unknown> => {
    const session = await connect({
      host: "127.0.0.1",
      port: port ?? 0,
      user: "collectd",
      password: PASSWORD,
      database: "postgres",
    });
    try {
      return await session.query("SELECT system_identifier FROM pg_control_system()");
    } finally {
      await session.close();
    }
  };
  const own = await superuser.query("SELECT system_identifier FROM pg_control_system()");
  expect(await identifier(writePort)).toEqual(own);
  expect(await identifier(readPort)).toEqual(own);

  await superuser.close();
  await node.stop();
  await waitFor("its end is seen", () => {
    expect(view()).toMatchObject(seen("unreachable"));
    return true;
  });
  await node.start();
  expect(await identifier(writePort)).toEqual(own);
  // Nothing of it failed on the way, and what changed was told once.
  expect(lines.filter((line) => line.startsWith("error"))).toEqual([]);
  expect(lines.filter((line) => line.includes("writes go to"))).toEqual([
    "info writes go to here (timeline 1)",
  ]);
});
