import { expect, test } from "vitest";
import { waitFor } from "../support/wait.ts";

test("a wait ends when its condition holds", async () => {
  let looks = 0;

  await waitFor("the third look", () => {
    looks += 1;
    return looks === 3;
  });

  expect(looks).toBe(3);
});

test("a wait that reaches its limit says what it waited for, and the last error", async () => {
  const refused = new Error("connection refused");
  const wait = waitFor("the server answers", () => Promise.reject(refused), { timeout: 50 });

  await expect(wait).rejects.toThrow("Not within 0.05 s: the server answers");
  await expect(wait).rejects.toHaveProperty("cause", refused);
});
