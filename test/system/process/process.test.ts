import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { onLifeline } from "../../../src/system/process/attended.ts";
import {
  isAlive,
  processIdentity,
  processStartSeconds,
  processState,
  run,
  runOrFail,
  sendSignal,
  startDetached,
  waitForEnd,
} from "../../../src/system/process/process.ts";
import { workingDirectory } from "../../../src/system/files/working-directory.ts";
import { serverOwner } from "../../postgres/throwaway-node.ts";
import { atEnd } from "../../support/scope.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait.ts";

async function sleeper(): Promise<number> {
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  await once(child, "spawn");
  atEnd(async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  return child.pid ?? 0;
}

/** The processes that a shell wrote down, one id a line. */
function pidsIn(file: string): number[] {
  return existsSync(file) ? readFileSync(file, "utf8").trim().split("\n").map(Number) : [];
}

test("a program's output and exit status are returned, whatever they are", async () => {
  expect(await run("sh", ["-c", "echo out; echo err >&2; exit 3"])).toEqual({
    exitCode: 3,
    stdout: "out",
    stderr: "err",
  });
  expect((await run("cat", [], { input: "it's $HOME" })).stdout).toBe("it's $HOME");
});

test("a program sees nothing of our environment but PATH and a fixed locale", async () => {
  process.env["PGPASSWORD"] = "secret";
  atEnd(() => {
    delete process.env["PGPASSWORD"];
  });
  const { stdout } = await run("env", [], { environment: { PGOPTIONS: "-c jit=off" } });
  const names = stdout.split("\n").map((line) => line.split("=")[0]);
  expect(new Set(names)).toEqual(new Set(["LC_ALL", "PATH", "PGOPTIONS", "TZ"]));
});

test("a program runs as the servers' user, in a directory that this user can enter", async () => {
  const owner = await serverOwner();
  const { stdout } = await run("sh", ["-c", "id -u; pwd"], { owner });
  expect(stdout).toBe(`${owner?.uid ?? process.getuid?.()}\n/`);
});

test("a program that is not there is named", async () => {
  await expect(run("no-such-program", [])).rejects.toMatchObject({
    code: "program_missing",
    message: expect.stringContaining("no-such-program"),
  });
  await expect(
    startDetached("/no/such/program", [], { logFile: join(temporaryFolder(), "log") }),
  ).rejects.toMatchObject({
    code: "program_missing",
  });
});

test("a failed program is an error with its last words", async () => {
  await expect(runOrFail("sh", ["-c", "echo why >&2; exit 1"])).rejects.toMatchObject({
    code: "command_failed",
    message: expect.stringMatching(/exit status 1\):\n {2}why$/),
  });
  await expect(
    runOrFail("sh", ["-c", "echo 'x: No space left on device' >&2; exit 1"]),
  ).rejects.toMatchObject({
    code: "disk_full",
  });
});

test("a program that is killed takes its helpers along, so that the wait for it ends", async () => {
  const file = join(temporaryFolder(), "pids");
  const running = run("sh", ["-c", `sleep 60 & printf '%s\\n' $$ $! > ${file}; wait`], { timeout: 0 });
  await waitFor("both processes", () => pidsIn(file).length === 2);
  const [main = 0, helper = 0] = pidsIn(file);
  process.kill(main, "SIGKILL");
  expect((await running).exitCode).toBeGreaterThanOrEqual(128);
  await waitFor("the helper ended", () => !isAlive(helper));
});

test("a program that takes longer than its limit is stopped with its helpers", async () => {
  const file = join(temporaryFolder(), "pids");
  const running = run("sh", ["-c", `sleep 60 & printf '%s\\n' $$ $! > ${file}; wait`], { timeout: 300 });
  await expect(running).rejects.toMatchObject({
    code: "timed_out",
    message: expect.stringContaining("0.3 s"),
  });
  await waitFor("both ended", () => pidsIn(file).every((pid) => !isAlive(pid)));
});

test("a program whose run is cancelled is stopped with its helpers", async () => {
  const file = join(temporaryFolder(), "pids");
  const abort = new AbortController();
  const running = expect(
    run("sh", ["-c", `sleep 60 & printf '%s\\n' $$ $! > ${file}; wait`], {
      timeout: 0,
      signal: abort.signal,
    }),
  ).rejects.toMatchObject({ code: "interrupted" });
  await waitFor("both processes", () => pidsIn(file).length === 2);
  abort.abort();
  await running;
  await waitFor("both ended", () => pidsIn(file).every((pid) => !isAlive(pid)));
});

test("a program that may take long ends with whoever has started it, however that ends, and its helpers too", async () => {
  const file = join(temporaryFolder(), "pids");
  const given = onLifeline("sh", ["-c", `sleep 60 & printf '%s\\n' $$ $! > ${file}; wait`]);
  const options = '{ detached: true, stdio: ["ignore", "ignore", "ignore", "pipe"] }';
  const code = `require("child_process").spawn(...${JSON.stringify(given)}, ${options}).on("exit", () => {})`;
  const starter = spawn(process.execPath, ["--eval", code], { stdio: "ignore" });
  await waitFor("both processes", () => pidsIn(file).length === 2);
  starter.kill("SIGKILL");
  await waitFor("both ended", () => pidsIn(file).every((pid) => !isAlive(pid)));
});

test("a program that may take long and does not is waited for no longer, however soon it ends", async () => {
  for (let round = 0; round < 20; round++) {
    const ran = await Promise.all(
      Array.from({ length: 20 }, async () => await run("true", [], { timeout: 0 })),
    );
    expect(ran.every(({ exitCode }) => exitCode === 0)).toBe(true);
  }
}, 60_000);

test("a program that may take long gets its input, and its exit status and words are its own", async () => {
  const long = { timeout: 0 };
  expect((await run("cat", [], { ...long, input: "it's $HOME" })).stdout).toBe("it's $HOME");
  expect(await run("sh", ["-c", "cat; echo err >&2; exit 3"], long)).toEqual({
    exitCode: 3,
    stdout: "",
    stderr: "err",
  });
  await expect(run("no-such-program", [], long)).rejects.toMatchObject({ code: "program_missing" });
});

test("a detached server has its own session and writes to its log, which others cannot read", async () => {
  const logFile = join(temporaryFolder(), "log");
  const owner = await serverOwner();
  const started = await startDetached("sh", ["-c", "echo started; exec sleep 60"], { owner, logFile });
  atEnd(() => {
    sendSignal(started.pid, "SIGKILL");
  });
  await waitFor("its first words", () => readFileSync(logFile, "utf8") === "started\n");
  const { stdout } = await run("ps", ["-o", "sid=", "-p", String(started.pid)]);
  expect(Number(stdout)).toBe(started.pid);
  expect((await run("stat", ["-c", "%a", logFile])).stdout).toBe("600");
  sendSignal(started.pid, "SIGTERM");
  await started.ended;
  expect(await waitForEnd(started.pid, 5000)).toBe(true);
});

test("a process is known by more than its id, and no longer once it has ended", async () => {
  const pid = await sleeper();
  const identity = await processIdentity(pid);
  expect(identity).toBe(await processIdentity(pid));
  expect(identity).not.toBe(await processIdentity(process.pid));
  expect(Math.abs(((await processStartSeconds(pid)) ?? 0) - Date.now() / 1000)).toBeLessThan(5);
  expect(isAlive(pid)).toBe(true);
  expect(await workingDirectory(pid)).toBe(process.cwd());
  expect(await waitForEnd(pid, 0)).toBe(false);

  sendSignal(pid, "SIGKILL");

  expect(await waitForEnd(pid, 5000)).toBe(true);
  expect(await processIdentity(pid)).toBeUndefined();
  await waitFor("it is collected", () => !sendSignal(pid, "SIGTERM"));
  expect(await processStartSeconds(pid)).toBeUndefined();
  expect(await workingDirectory(pid)).toBeUndefined();
});

test("a process that stands still is alive; one that has ended but was not collected is not", async () => {
  const stopped = await sleeper();
  process.kill(stopped, "SIGSTOP");
  await waitFor("it stands still", () => processState(stopped) === "T");
  expect(isAlive(stopped)).toBe(true);

  const file = join(temporaryFolder(), "pids");
  // The parent never waits for its child, which ends when there is no shell any more that would.
  const parent = spawn("sh", ["-c", `sleep 1 & echo $! > ${file}; exec sleep 60`], { stdio: "ignore" });
  atEnd(async () => {
    parent.kill("SIGKILL");
    await once(parent, "exit");
  });
  await waitFor("the child is a zombie", () => pidsIn(file).some((pid) => processState(pid) === "Z"));
  const [zombie = 0] = pidsIn(file);
  expect(isAlive(zombie)).toBe(false);
  expect(await processIdentity(zombie)).toBeUndefined();
});
