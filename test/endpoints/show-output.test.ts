import { describe, expect, test } from "vitest";
import {
  parseProcesses,
  parseServers,
  parseSessions,
  parseSlowestAnswer,
} from "../../src/endpoints/show-output.ts";

describe("show proc", () => {
  test("is read as HAProxy 2.4 prints it, with the relative process id", () => {
    const text = `#<PID>          <type>          <relative PID>  <reloads>       <uptime>        <version>      
14517           master          0               2               0d00h00m11s     2.4.0-6cbbecf09
# workers
14970           worker          1               0               0d00h00m01s     2.4.0-6cbbecf09
# old workers
14771           worker          [was: 1]        1               0d00h00m06s     2.4.0-6cbbecf09
# programs
`;
    expect(parseProcesses(text)).toEqual({ master: 14517, current: 14970, reloads: 0, old: [14771] });
  });

  test("is read as later versions print it", () => {
    const text = `#<PID>          <type>          <reloads>       <uptime>        <version>      
15747           master          12 [failed: 0]  0d00h00m12s     3.4.0-64a335366
# workers
16085           worker          0               1d02h00m01s     3.4.0-64a335366
# old workers
15828           worker          1               1d02h00m07s     3.4.0-64a335366
15820           worker          11              1d02h00m17s     3.4.0-64a335366
`;
    expect(parseProcesses(text)).toEqual({ master: 15747, current: 16085, reloads: 0, old: [15828, 15820] });
  });

  test("after a reload that failed, the newest worker is still the one that takes sessions", () => {
    const text = `#<PID>          <type>          <reloads>       <uptime>        <version>      
10              master          1 [failed: 1]   0d00h00m12s     2.6.12
# old workers
11              worker          1               0d00h00m07s     2.6.12
# programs
`;
    expect(parseProcesses(text)).toEqual({ master: 10, current: 11, reloads: 1, old: [] });
  });

  test("without a worker says nothing", () => {
    expect(parseProcesses("10 master 0 0d00h00m12s 2.6.12\n# workers\n")).toBeUndefined();
    expect(parseProcesses("")).toBeUndefined();
  });
});

describe("show stat", () => {
  const stat = (rows: readonly string[]): string =>
    ["# pxname,svname,scur,status,type,last_chk,addr,-,", ...rows, ""].join("\n");

  test("gives the servers of both backends, without the waiting line", () => {
    const text = stat([
      "write_endpoint,FRONTEND,1,OPEN,0,,,-,",
      "write,pg1,4,no check,2,,127.0.0.1:5433,-,",
      "write,waiting-line,0,no check,2,,127.0.0.1:1,-,",
      "write,BACKEND,4,UP,1,,,-,",
      "read,pg2,7,UP 1/2,2,,127.0.0.1:5434,-,",
      "read,pg3,0,DOWN,2,,[::1]:5435,-,",
      "read,pg1-fallback,0,MAINT,2,,127.0.0.1:5433,-,",
    ]);
    expect(parseServers(text)).toEqual([
      server("write", "pg1", "pg1", "ready", true, 4, "127.0.0.1:5433"),
      server("read", "pg2", "pg2", "ready", true, 7, "127.0.0.1:5434"),
      server("read", "pg3", "pg3", "ready", false, 0, "[::1]:5435"),
      server("read", "pg1-fallback", "pg1", "maint", false, 0, "127.0.0.1:5433"),
    ]);
  });

  test("a host name without an address counts as maintenance", () => {
    expect(parseServers(stat(["write,pg1,0,MAINT (resolution),2,,,-,"]))).toEqual([
      server("write", "pg1", "pg1", "maint", false, 0, ""),
    ]);
  });

  test("words with commas and quotes do not shift the columns", () => {
    expect(parseServers(stat(['read,pg2,1,UP,2,"says ""no"", twice",127.0.0.1:5434,-,']))).toEqual([
      server("read", "pg2", "pg2", "ready", true, 1, "127.0.0.1:5434"),
    ]);
  });

  test("what HAProxy never prints is refused", () => {
    expect(() => parseServers(stat(["read,pg2,many,UP,2,,127.0.0.1:5434,-,"]))).toThrow(/scur/);
  });

  test("servers of other backends, such as the way to a newer worker, are no nodes", () => {
    expect(parseServers(stat(["write_next_worker,next-worker,0,no check,2,,127.0.0.1:5436,-,"]))).toEqual([]);
  });
});

describe("show sess", () => {
  test("is read as 2.4 and as later versions print it", () => {
    const text = [
      "0x557107e0c0e0: proto=tcpv4 src=127.0.0.1:52330 fe=read_endpoint be=read srv=pg2 ts=10000 rp[f=80048000h,i=0,an=00h,rx=9d23h,wx=,ax=] s0=[8,200008h,fd=15,ex=] s1=[8,200018h,fd=16,ex=] exp=9d23h",
      "0x7feab8046460: proto=tcpv4 src=127.0.0.1:43528 fe=read_endpoint be=read srv=pg2 ts=00 epoch=0 scf=[8,0h,fd=15,rex=9d23h,wex=] scb=[3,1h,fd=16,rex=9d23h,wex=] exp=9d23h rc=0 c_exp=",
      "0x56469aff6bd0: proto=sockpair src=unix:1 fe=GLOBAL be=<NONE> srv=<none> ts=00 epoch=0 scf=[8,0h,fd=6] scb=[8,1h,fd=-1]",
      "",
    ].join("\n");
    expect(parseSessions(text)).toEqual([
      session("0x557107e0c0e0", "read_endpoint", "read", "pg2", true),
      session("0x7feab8046460", "read_endpoint", "read", "pg2", false),
      session("0x56469aff6bd0", "GLOBAL", "<NONE>", "<none>", true),
    ]);
  });

  test("of the servers' answers to the gate the slowest counts, and a gate that knows no such question has none", () => {
    expect(parseSlowestAnswer("pg1,12\npg2,340\n\n")).toBe(340);
    expect(parseSlowestAnswer("\n")).toBe(0);
    expect(parseSlowestAnswer("Unknown command: 'show odoo-pg answers', but maybe one of …\n")).toBe(0);
  });

  test("a session whose state cannot be told counts as one without a server yet", () => {
    const [one] = parseSessions("0x1: proto=tcpv4 src=a fe=read_endpoint be=read srv=pg2 ts=00\n");
    expect(one?.settled).toBe(false);
  });
});

function server(
  backend: string,
  name: string,
  node: string,
  admin: string,
  up: boolean,
  sessions: number,
  address: string,
): object {
  return { backend, server: name, node, admin, up, sessions, address };
}

function session(id: string, frontend: string, backend: string, server: string, settled: boolean): object {
  return { id, frontend, backend, server, settled };
}
