import { chmodSync, chownSync, mkdirSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { join } from "node:path";
import { Balancer } from "../../src/endpoints/balancer.ts";
import { findHaproxy, type HaproxyProgram } from "../../src/endpoints/haproxy.ts";
import { GATE_APPLICATION } from "../../src/endpoints/gate.ts";
import type { HaproxyInput } from "../../src/endpoints/render.ts";
import { readProcesses } from "../../src/endpoints/orders.ts";
import type { Owner } from "../../src/system/files/files.ts";
import { findUser } from "../../src/system/machine.ts";
import { freePorts } from "../support/ports.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** Milliseconds that a login takes. */
const LOGIN_MS = 30;

/** Milliseconds until a slow server answers the gate, and for a login there. */
const SLOW_MS = 500;
const SLOW_LOGIN_MS = 700;

/** What PostgreSQL's clients say first: a startup packet, here without parameters. */
export const STARTUP = Buffer.from("000000090003000000", "hex");

function refusal(code: string): Buffer {
  const fields = Buffer.from(`SFATAL\0C${code}\0Mno\0\0`, "latin1");
  const head = Buffer.alloc(5, "E");
  head.writeUInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}

/** What the gate is told: a request for a password, or why not; a server that hangs says nothing. */
const ACCEPTING = Buffer.from("520000000c0000000500000000", "hex");
const ANSWERS = {
  accepting: ACCEPTING,
  slow: ACCEPTING,
  starting: refusal("57P03"),
  full: refusal("53300"),
  refusing: refusal("28000"),
  hanging: Buffer.alloc(0),
};

/** A node as the endpoints see it: a TCP server that says its name when a client has logged in, then echoes. */
export interface Standin {
  readonly name: string;
  readonly port: number;
  start(): Promise<void>;
  /** Ends it like kill -9 does: its sessions are reset, new ones are refused. */
  kill(): Promise<void>;
  /** From now on the gate's questions are answered so. */
  answer(how: keyof typeof ANSWERS): void;
  /** Sessions now. */
  sessions(): number;
}

function standin(name: string, port: number): Standin {
  const sockets = new Set<net.Socket>();
  const clients = new Set<net.Socket>();
  let server: net.Server | undefined;
  let answer: keyof typeof ANSWERS = "accepting";
  return {
    name,
    port,
    answer(how) {
      answer = how;
    },
    sessions: () => clients.size,
    async start() {
      const started = net.createServer((socket) => {
        sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => {
          sockets.delete(socket);
          clients.delete(socket);
        });
        let login: NodeJS.Timeout | undefined;
        socket.once("data", (word) => {
          if (word.includes(GATE_APPLICATION)) {
            if (answer === "slow") setTimeout(() => socket.write(ACCEPTING), SLOW_MS);
            else socket.write(ANSWERS[answer]);
            return;
          }
          clients.add(socket);
          login = setTimeout(
            () => {
              socket.write(`${name}\n`);
              socket.on("data", (data) => socket.write(data));
            },
            answer === "slow" ? SLOW_LOGIN_MS : LOGIN_MS,
          );
        });
        socket.on("close", () => clearTimeout(login));
      });
      await listening(started, { host: "127.0.0.1", port });
      server = started;
    },
    async kill() {
      const ending = server;
      server = undefined;
      if (ending === undefined) return;
      for (const socket of sockets) socket.resetAndDestroy();
      await new Promise<void>((resolve) => ending.close(() => resolve()));
    },
  };
}

async function listening(server: net.Server, where: net.ListenOptions): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => resolve());
  });
}

/** The agent's part: answers health checks for the nodes in `members`. */
export interface HealthAnswers {
  readonly members: Set<string>;
  /** Nodes that HAProxy asked about. */
  readonly asked: Set<string>;
  stop(): Promise<void>;
}

async function healthAnswers(socketPath: string, owner: Owner | undefined): Promise<HealthAnswers> {
  const members = new Set<string>();
  const asked = new Set<string>();
  const server = http.createServer((request, response) => {
    const node = request.url?.replace("/pool/", "") ?? "";
    asked.add(node);
    response.writeHead(members.has(node) ? 200 : 503).end();
  });
  await listening(server, { path: socketPath });
  chmodSync(socketPath, 0o600);
  if (owner) chownSync(socketPath, owner.uid, owner.gid);
  const stop = async (): Promise<void> => {
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  };
  atEnd(stop);
  return { members, asked, stop };
}

/** The program under test: another version when ODOO_PG_TEST_HAPROXY names one. */
export async function testedHaproxy(): Promise<HaproxyProgram> {
  return await findHaproxy(process.env["ODOO_PG_TEST_HAPROXY"], {
    searchPath: process.env["PATH"] ?? "",
    install: () => "install haproxy",
  });
}

export interface Bench {
  readonly program: HaproxyProgram;
  readonly stateDir: string;
  readonly owner: Owner | undefined;
  readonly nodes: readonly [Standin, Standin, Standin];
  readonly health: HealthAnswers;
  readonly input: HaproxyInput;
  readonly balancer: Balancer;
  readonly sparePort: number;
}

/** Directories in which HAProxy may run, as the servers' user. */
export async function stateDirectory(
  name = "state",
): Promise<{ stateDir: string; owner: Owner | undefined }> {
  const owner = process.getuid?.() === 0 ? await findUser("postgres") : undefined;
  const stateDir = join(temporaryFolder(), name);
  for (const directory of [stateDir, join(stateDir, "run"), join(stateDir, "haproxy")]) {
    mkdirSync(directory);
    if (owner) chownSync(directory, owner.uid, owner.gid);
  }
  return { stateDir, owner };
}

/** Three nodes that answer, health answers for all of them, and a balancer that is not started. */
export async function bench(options: { stateDirName?: string } = {}): Promise<Bench> {
  const { stateDir, owner } = await stateDirectory(options.stateDirName);
  const [a = 0, b = 0, c = 0, read = 0, write = 0, sparePort = 0] = await freePorts(6);
  const nodes = [standin("pg1", a), standin("pg2", b), standin("pg3", c)] as const;
  for (const node of nodes) {
    await node.start();
    atEnd(async () => await node.kill());
  }
  const balancer = new Balancer({ stateDir }, owner);
  atEnd(async () => await balancer.stop());
  const health = await healthAnswers(balancer.files.healthSocket, owner);
  for (const node of nodes) health.members.add(node.name);
  return {
    program: await testedHaproxy(),
    stateDir,
    owner,
    nodes,
    health,
    input: {
      nodes: nodes.map(({ name, port }) => ({ name, port, host: "127.0.0.1" })),
      read: { port: read, consistency: "bounded" },
      write: { port: write },
      listen: ["127.0.0.1"],
      networks: [],
      hasIpv6: false,
      maxSessions: 500,
      gate: { waitSeconds: 10, role: "odoo", sessions: {} },
    },
    balancer,
    sparePort,
  };
}

/** Where `running` leads clients. */
export const usual = { primary: "pg1", pool: ["pg2", "pg3"] };

/** The same, started: pg1 is the primary, pg2 and pg3 are in the pool. */
export async function running(options: Parameters<typeof bench>[0] = {}): Promise<Bench> {
  const made = await bench(options);
  await made.balancer.ensure(made.program, made.input);
  await made.balancer.route(usual);
  return made;
}

/** Its processes, those from before a reload too. */
export async function workers({ balancer }: Bench): Promise<Awaited<ReturnType<typeof readProcesses>>> {
  return await readProcesses(balancer.files.masterSocket);
}

/** A client's session. */
export interface Visit {
  /** The node that answered; undefined when the session was closed before. */
  readonly node: string | undefined;
  readonly isOpen: () => boolean;
  /** Whether the other side still answers. */
  readonly echoes: () => Promise<boolean>;
  readonly close: () => void;
  /** What was heard until now, a letter for each byte. */
  readonly said: () => string;
}

/** Connects and waits until it is logged in on a node, which says its name, or the session is closed. */
export async function visit(
  port: number,
  options: { readonly from?: string; readonly say?: Buffer } = {},
): Promise<Visit> {
  const socket = net.connect({
    port,
    host: "127.0.0.1",
    ...(options.from === undefined ? {} : { localAddress: options.from }),
  });
  atEnd(() => {
    socket.destroy();
  });
  let open = true;
  let heard = "";
  const listeners = new Set<() => void>();
  const changed = (): void => {
    for (const listener of listeners) listener();
  };
  const until = async (condition: () => boolean): Promise<void> => {
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (!condition()) return;
        listeners.delete(look);
        resolve();
      };
      listeners.add(look);
      look();
    });
  };
  socket.on("error", () => {});
  socket.on("close", () => {
    open = false;
    changed();
  });
  socket.on("end", () => {
    open = false;
    changed();
  });
  socket.on("data", (data) => {
    heard += data.toString("latin1");
    changed();
  });
  socket.write(options.say ?? STARTUP);
  await until(() => !open || heard.includes("\n"));
  const name = heard.split("\n")[0];
  return {
    node: name === "" ? undefined : name,
    said: () => heard,
    isOpen: () => open,
    echoes: async () => {
      const before = heard.length;
      if (open) socket.write("ping\n");
      await until(() => !open || heard.length > before);
      return heard.length > before;
    },
    close: () => {
      socket.destroy();
    },
  };
}

/** The nodes that answer `count` clients, one after the other. */
export async function answering(port: number, count = 6): Promise<(string | undefined)[]> {
  const nodes: (string | undefined)[] = [];
  for (let index = 0; index < count; index += 1) {
    const { node, close } = await visit(port);
    close();
    nodes.push(node);
  }
  return nodes;
}

/** Clients that connect every few milliseconds until told to stop; returns who answered, undefined for a refusal. */
export function keepVisiting(port: number, every: number): () => Promise<(string | undefined)[]> {
  const visits: Promise<string | undefined>[] = [];
  const timer = setInterval(() => {
    visits.push(
      visit(port).then(({ node, close }) => {
        close();
        return node;
      }),
    );
  }, every);
  atEnd(() => clearInterval(timer));
  return async () => {
    clearInterval(timer);
    return await Promise.all(visits);
  };
}
