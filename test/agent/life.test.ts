import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { AgentLife } from "../../src/agent/life.ts";
import { layoutOf } from "../../src/config/layout.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

function life(leave: () => Promise<void> = async () => {}) {
  const folder = join(temporaryFolder(), "s");
  mkdirSync(folder, { mode: 0o700 });
  const layout = layoutOf(folder);
  return { layout, life: new AgentLife(layout, undefined, () => {}, leave) };
}

describe("an agent", () => {
  test("that cannot open closes what it had opened, in that order, and leaves the directory to others", async () => {
    const done: string[] = [];
    const { layout, life: first } = life(async () => void done.push("left"));
    await expect(
      first.open(async (closed) => {
        closed(() => void done.push("socket"));
        closed(() => void done.push("console"));
        await Promise.reject(new Error("the port is taken"));
      }),
    ).rejects.toThrow("the port is taken");
    expect(done).toEqual(["socket", "console", "left"]);
    expect(existsSync(layout.lockFile)).toBe(false);
  });

  test("looks until it ends, is woken in between, and closes then", async () => {
    const { layout, life: one } = life();
    let closed = 0;
    await one.open(async (opened) => {
      opened(() => void (closed += 1));
      await Promise.resolve();
    });
    expect(existsSync(layout.lockFile)).toBe(true);
    let looks = 0;
    const look = {
      name: "look",
      run: () => {
        looks += 1;
        one.wake();
      },
    };
    await one.run([look], () => looks >= 3);
    expect([looks, closed, existsSync(layout.lockFile)]).toEqual([3, 1, false]);
  });

  test("gives the directory back where something does not close", async () => {
    const { layout, life: one } = life();
    await one.open(async (closed) => {
      closed(() => {
        throw new Error("it hangs");
      });
      await Promise.resolve();
    });
    await expect(one.close()).rejects.toThrow("it hangs");
    expect(existsSync(layout.lockFile)).toBe(false);
  });

  test("that finds another one there opens nothing and closes nothing of it", async () => {
    const { layout, life: one } = life();
    await one.open(async () => {});
    const done: string[] = [];
    const other = new AgentLife(
      layout,
      undefined,
      () => {},
      async () => void done.push("left"),
    );
    await expect(other.open(async () => void done.push("opened"))).rejects.toMatchObject({ code: "locked" });
    expect(done).toEqual([]);
    expect(existsSync(layout.lockFile)).toBe(true);
    await one.close();
  });
});
