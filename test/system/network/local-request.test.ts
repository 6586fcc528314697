import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { getJson } from "../../../src/system/network/local-request.ts";

const anything = z.unknown();

let folder = "";
let server: http.Server;
const socketPath = (): string => join(folder, "s.sock");

beforeAll(async () => {
  folder = mkdtempSync(join(realpathSync("/tmp"), "opt-"));
  server = http.createServer((request, response) => {
    if (request.url === "/silent") return;
    const text = JSON.stringify({ url: request.url, host: request.headers.host, long: "ä".repeat(200_000) });
    if (request.url === "/pieces") {
      // Without a length: to a client of HTTP/1.0 the end of the connection is the end of the answer.
      response.write(text.slice(0, 1001));
      response.end(text.slice(1001));
    } else response.writeHead(request.url === "/gone" ? 404 : 200).end(text);
  });
  await new Promise<void>((resolve) => server.listen(socketPath(), () => resolve()));
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

test.each(["/report", "/pieces"])("a document comes whole: %s", async (target) => {
  const long = "ä".repeat(200_000);
  expect(await getJson(socketPath(), target, anything, 5000)).toEqual({ url: target, host: "odoo-pg", long });
});

test("another status than 200 is an error that names it", async () => {
  await expect(getJson(socketPath(), "/gone", anything, 5000)).rejects.toThrow(/HTTP\/1\.1 404/);
});

test("who does not answer is given up at the limit", async () => {
  await expect(getJson(socketPath(), "/silent", anything, 50)).rejects.toThrow(/no answer .* within 50 ms/);
});

test("where nobody listens, the error says so", async () => {
  await expect(getJson(join(folder, "nobody.sock"), "/", anything, 5000)).rejects.toMatchObject({
    code: "ENOENT",
  });
});
