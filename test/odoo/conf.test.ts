import { expect, test } from "vitest";
import { serviceLines } from "../../src/odoo/conf.ts";
import { resolveText } from "../config/sources.ts";

test("Odoo waits longer for a connection than an endpoint has it wait, so that it hears why", () => {
  for (const seconds of [1, 60, 599.5]) {
    const { config } = resolveText(`endpoints: {wait_seconds: ${seconds}}`);
    const timeout = serviceLines(config)
      .map(({ line }) => /^Environment=PGCONNECT_TIMEOUT=(\d+)$/.exec(line)?.[1])
      .find((found) => found !== undefined);
    expect(Number(timeout)).toBeGreaterThan(seconds);
  }
});
