import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { Overtaken, type Leading } from "../../src/hosts/decisions/primary/overtaken.ts";
import { PatroniService } from "../../src/hosts/programs/patroni-service.ts";
import { Supervisor } from "../../src/services/supervisor.ts";
import { isAlive } from "../support/processes.ts";
import { atEnd } from "../support/scope.ts";
import { waitFor } from "../support/wait.ts";
import { withCertificate } from "./authority.ts";
import { recordOf } from "./standins.ts";

const old: Leading = { at: 0, inRecovery: false, leader: "h2", name: "h1", isPaused: false };

test("a server that stays a primary while another host leads is told after twenty seconds", () => {
  const overtaken = new Overtaken();
  expect(overtaken.lasts(old)).toBe(false);
  expect(overtaken.lasts({ ...old, at: 19_999 })).toBe(false);
  expect(overtaken.lasts({ ...old, at: 20_000 })).toBe(true);
  expect(overtaken.lasts({ ...old, at: 25_000 })).toBe(true);
  overtaken.forget();
  expect(overtaken.lasts({ ...old, at: 26_000 })).toBe(false);
});

test.each([
  ["it leads itself", { leader: "h1" }],
  ["nobody leads, or the store does not answer", { leader: undefined }],
  ["it has become a replica", { inRecovery: true }],
  ["its server does not answer", { inRecovery: undefined }],
  ["failover is paused", { isPaused: true }],
])("the time begins anew when %s", (_, change) => {
  const overtaken = new Overtaken();
  overtaken.lasts(old);
  expect(overtaken.lasts({ ...old, at: 25_000, ...change })).toBe(false);
  expect(overtaken.lasts({ ...old, at: 26_000 })).toBe(false);
});

/** An address of this host that only this test listens on: the port of the API is the same everywhere. */
const ADDRESS = "127.79.81.9";

/** Answers as Patroni's API does, whatever the rest of it is at. */
const apiOf = (certificate: string, key: string): string => `#!${process.execPath}
const { readFileSync } = require("node:fs");
process.on("SIGHUP", () => {});
process.on("SIGUSR2", () => console.log("where it hangs"));
require("node:https")
  .createServer({ cert: readFileSync(${JSON.stringify(certificate)}), key: readFileSync(${JSON.stringify(key)}) }, (_, answer) => answer.end("{}"))
  .listen(8008, ${JSON.stringify(ADDRESS)});
`;

test("a Patroni that answers and does not demote its server is ended and started again, and has its time then", async () => {
  const record = recordOf({ name: "h1", role: "database", address: ADDRESS });
  const { files, identity } = await withCertificate(record);
  const program = join(files.dir, "patroni");
  writeFileSync(program, apiOf(files.certificate, files.key));
  chmodSync(program, 0o755);

  let leading: Leading = { ...old, leader: "h1" };
  const service = new PatroniService(
    { files, record, identity, owner: undefined, program: { path: program, version: "4.0.7" } },
    async () => await Promise.resolve(true),
    () => leading,
  );
  atEnd(async () => void (await service.stop("immediate")));
  let at = 0;
  const lines: string[] = [];
  const supervisor = new Supervisor(
    (_, line) => void lines.push(line),
    () => at,
  );
  const pid = (): number => Number(/"pid":(\d+)/.exec(readFileSync(files.patroniProcess, "utf8"))?.[1]);
  const after = async (seconds: number, seen: Partial<Leading>): Promise<void> => {
    for (let passed = 0; passed < seconds; passed += 2.5) {
      at += 2500;
      leading = { ...leading, ...seen, at };
      await supervisor.check(service);
      await pause(100);
    }
  };
  await after(2.5, {});
  await waitFor("it to answer", async () => (await service.probe()) === "answers");
  const first = pid();
  await after(25, { leader: "h2" });
  expect(pid()).toBe(first);
  await after(15, {});
  await waitFor("the first one to be gone", () => !isAlive(first));
  expect(readFileSync(files.patroniStartLog, "utf8")).toBe("where it hangs\n");
  await after(2.5, {});
  const second = pid();
  expect(second).not.toBe(first);
  expect(lines.join("\n")).toContain("patroni runs again");
  await waitFor("it to answer", async () => (await service.probe()) === "answers");
  await after(15, {});
  expect(pid()).toBe(second);
}, 30_000);
