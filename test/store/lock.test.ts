import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { buildSync } from "esbuild";
import { beforeAll, expect, test } from "vitest";
import { lockHolder, releaseLock, takeLock } from "../../src/store/lock.ts";
import { processIdentity } from "../../src/system/process/process.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

let program: string;

/** Takes the lock that each line of its input names, and says what became of it. */
const contender = `
  import { openSync, closeSync, rmSync } from "node:fs";
  import { createInterface } from "node:readline";
  import { releaseLock, takeLock } from "./src/store/lock.ts";
  for await (const line of createInterface({ input: process.stdin })) {
    const [order, file] = JSON.parse(line);
    try {
      if (order === "take") {
        await takeLock(file, process.pid);
        console.log("won");
      } else {
        let entered = 0;
        while (entered < 20) {
          try { await takeLock(file, process.pid); } catch (error) { if (error.code === "locked") continue; throw error; }
          closeSync(openSync(file + ".inside", "wx"));
          rmSync(file + ".inside");
          await releaseLock(file, process.pid);
          entered += 1;
        }
        console.log("entered");
      }
    } catch (error) {
      console.log(error.code === "locked" ? "locked" : String(error));
    }
  }`;

beforeAll(() => {
  program = join(temporaryFolder(), "contender.mjs");
  buildSync({
    stdin: { contents: contender, resolveDir: process.cwd() },
    outfile: program,
    bundle: true,
    platform: "node",
    format: "esm",
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
  });
});

interface Contender {
  readonly pid: number;
  readonly order: (order: "take" | "enter", file: string) => Promise<string>;
  readonly kill: () => Promise<void>;
}

function contenders(count: number): readonly Contender[] {
  return Array.from({ length: count }, () => {
    const child: ChildProcessWithoutNullStreams = spawn(process.execPath, [program]);
    child.stderr.pipe(process.stderr);
    const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const kill = async (): Promise<void> => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    };
    atEnd(kill);
    return {
      pid: child.pid ?? 0,
      async order(order, file) {
        child.stdin.write(`${JSON.stringify([order, file])}\n`);
        const { value } = await answers.next();
        return String(value);
      },
      kill,
    };
  });
}

test("a lock that is taken names its holder, refuses others, and can be given back", async () => {
  const file = join(temporaryFolder(), "agent.lock");
  expect(await lockHolder(file)).toBeUndefined();
  await takeLock(file, process.pid);
  expect(await lockHolder(file)).toBe(process.pid);
  await expect(takeLock(file, process.pid)).rejects.toMatchObject({
    code: "locked",
    message: expect.stringContaining(`process ${process.pid}`),
  });
  await releaseLock(file, process.pid);
  expect(await lockHolder(file)).toBeUndefined();
  await takeLock(file, process.pid);
});

test("only its holder gives a lock back", async () => {
  const file = join(temporaryFolder(), "agent.lock");
  const [holder] = contenders(1);
  expect(await holder?.order("take", file)).toBe("won");
  await releaseLock(file, process.pid);
  expect(await lockHolder(file)).toBe(holder?.pid);
});

test("the lock of a process that was killed is taken over", async () => {
  const file = join(temporaryFolder(), "agent.lock");
  const [first, second] = contenders(2);
  expect(await first?.order("take", file)).toBe("won");
  expect(await second?.order("take", file)).toBe("locked");
  await first?.kill();
  expect(await lockHolder(file)).toBeUndefined();
  expect(await second?.order("take", file)).toBe("won");
  expect(await lockHolder(file)).toBe(second?.pid);
});

test("the id of the dead holder may be another process's now", async () => {
  const file = join(temporaryFolder(), "agent.lock");
  writeFileSync(file, `${process.pid} of another boot\n`);
  expect(await lockHolder(file)).toBeUndefined();
  await takeLock(file, process.pid);
  expect(readFileSync(file, "utf8")).toBe(`${process.pid} ${await processIdentity(process.pid)}\n`);
});

test("a lock that names nobody is refused: whoever has it may still live", async () => {
  const file = join(temporaryFolder(), "agent.lock");
  for (const text of ["", "\n", "12", "12 cut o", "nobody\n"]) {
    writeFileSync(file, text);
    const refusal = { code: "state_dir_unusable", message: expect.stringContaining(file) };
    await expect(takeLock(file, process.pid)).rejects.toMatchObject(refusal);
    await expect(lockHolder(file)).rejects.toMatchObject(refusal);
    expect(readFileSync(file, "utf8")).toBe(text);
  }
});

test("of many that take a free or a stale lock at once exactly one wins, and nothing is left beside the lock", async () => {
  const folder = temporaryFolder();
  const all = contenders(6);
  for (let round = 0; round < 40; round++) {
    const file = join(folder, `${round}.lock`);
    if (round % 4 !== 0) writeFileSync(file, "99999999 dead\n");
    const answers = await Promise.all(all.map((each) => each.order("take", file)));
    expect(answers.toSorted()).toEqual(["locked", "locked", "locked", "locked", "locked", "won"]);
    expect(await lockHolder(file)).toBe(all[answers.indexOf("won")]?.pid);
  }
  expect(readdirSync(folder).filter((name) => !/^\d+\.lock$/.test(name))).toEqual([]);
});

test("a takeover that was killed halfway is taken over itself", async () => {
  const folder = temporaryFolder();
  const file = join(folder, "agent.lock");
  const [first, ...others] = contenders(4);
  expect(await first?.order("take", file)).toBe("won");
  await first?.kill();
  // What a process leaves that is killed with the right to replace the lock, before it did so.
  writeFileSync(`${file}.${rightOf(readFileSync(file, "utf8"))}`, "99999998 dead too\n");
  const answers = await Promise.all(others.map((each) => each.order("take", file)));
  expect(answers.toSorted()).toEqual(["locked", "locked", "won"]);
  expect(readdirSync(folder)).toEqual(["agent.lock"]);
});

test("who takes a lock removes what those left that were killed while they took it, and of the living nothing", async () => {
  const folder = temporaryFolder();
  const file = join(folder, "agent.lock");
  const [gone, taker, living] = contenders(3);
  await gone?.kill();
  const right = rightOf("99999998 an older text\n");
  const dead = [`${gone?.pid}.1.new`, `${gone?.pid}.1.new.${gone?.pid}.2.tmp`, `${right}.${gone?.pid}.3.new`];
  const kept = [`${living?.pid}.1.new`, "of-the-user"];
  for (const name of [...dead, ...kept]) writeFileSync(`${file}.${name}`, "");
  writeFileSync(`${file}.${right}`, "99999998 dead too\n");
  expect(await taker?.order("take", file)).toBe("won");
  expect(readdirSync(folder).toSorted()).toEqual(
    ["agent.lock", ...kept.map((name) => `agent.lock.${name}`)].toSorted(),
  );
});

/** The name of the right to replace a lock of this text, as src/store/lock.ts gives it. */
function rightOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

test("those that take and give back a lock in turn are never two inside", async () => {
  const file = join(temporaryFolder(), "agent.lock");
  writeFileSync(file, "99999999 dead\n");
  const answers = await Promise.all(contenders(3).map((each) => each.order("enter", file)));
  expect(answers).toEqual(["entered", "entered", "entered"]);
});
