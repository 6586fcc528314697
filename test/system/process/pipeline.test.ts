import { describe, expect, test } from "vitest";
import { feed, outputOf, produce } from "../../../src/system/process/pipeline.ts";

const sh = (script: string) => ({ program: "/bin/sh", args: ["-c", script] });
const piece = Buffer.alloc(64 * 1024, "x");

async function* pieces(count: number, end?: Error): AsyncGenerator<Buffer> {
  for (let given = 0; given < count; given++) yield await Promise.resolve(piece);
  if (end) throw end;
}

async function read(output: AsyncIterable<Buffer>): Promise<number> {
  let bytes = 0;
  for await (const chunk of output) bytes += chunk.length;
  return bytes;
}

describe("a program that is fed", () => {
  test("gets all of its input", async () => {
    await feed(sh(`[ "$(wc -c)" -eq ${100 * piece.length} ]`), pieces(100));
  });

  test("that ends early is told by its exit status and last words, not by a broken pipe", async () => {
    await expect(feed(sh("echo nothing; echo error: enough >&2; exit 3"), pieces(1e6))).rejects.toMatchObject(
      { code: "command_failed", message: "/bin/sh failed (exit status 3):\n  error: enough" },
    );
  });

  test("may end early and well", async () => {
    await feed(sh("head -c 10 >/dev/null"), pieces(1000));
  });

  test("is killed when its input fails, and the input's error goes first", async () => {
    const told: string[] = [];
    const onStderr = (text: string): void => void told.push(text);
    await expect(
      feed({ ...sh("cat >/dev/null; echo the end >&2"), onStderr }, pieces(3, new Error("cut off"))),
    ).rejects.toThrow("cut off");
    expect(told).toEqual([]);
  });

  test("is killed when it is interrupted", async () => {
    const abort = new AbortController();
    const fed = feed({ ...sh("cat >/dev/null"), signal: abort.signal }, pieces(1e9));
    setImmediate(() => abort.abort());
    await expect(fed).rejects.toMatchObject({ code: "interrupted" });
  });

  test("that finds no room on the disk is told apart", async () => {
    await expect(
      feed(sh("cat >/dev/null; echo 'write failed: No space left on device' >&2; exit 1"), pieces(1)),
    ).rejects.toMatchObject({ code: "disk_full" });
  });
});

describe("the output of a program", () => {
  test("comes whole", async () => {
    expect(await read(outputOf(sh("head -c 5000000 /dev/zero")))).toBe(5_000_000);
  });

  test("ends with its failure", async () => {
    await expect(read(outputOf(sh("echo half; echo fatal: no >&2; exit 1")))).rejects.toMatchObject({
      code: "command_failed",
    });
  });

  test("of which nobody reads the rest ends the program", async () => {
    const { output, ended, kill } = await produce(sh("cat /dev/zero"));
    for await (const chunk of output) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    kill();
    await expect(ended).rejects.toMatchObject({ code: "command_failed" });
  });

  test("of a program that is not installed names its package", async () => {
    await expect(read(outputOf({ program: "no-such-program", args: [] }))).rejects.toMatchObject({
      code: "program_missing",
      message: "The program no-such-program is not installed.",
    });
  });
});
