import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { freePort } from "../support/ports.ts";
import { waitFor } from "../support/wait.ts";
import { Principal } from "./visitor.ts";

let cluster: ThrowawayCluster;
let port: number;
/** An address that is not written as one of loopback's, though nobody else reaches it. */
let elsewhere: string;

beforeAll(async () => {
  port = await freePort();
  elsewhere = `https://[::ffff:127.0.0.2]:${port}`;
  cluster = await throwawayCluster({
    nodes: 1,
    config: { console: { enabled: true, port, listen: ["127.0.0.1", "::ffff:127.0.0.2"] } },
  });
  const up = await cluster.up();
  expect(up.stdout).toContain(`Console http://127.0.0.1:${port}/`);
});

const authority = (): string => readFileSync(join(cluster.stateDir, "tls", "ca.crt"), "utf8");
const password = (role: "viewer" | "operator"): string =>
  readFileSync(join(cluster.stateDir, "secrets", `console_${role}.password`), "utf8").trimEnd();
const principal = (): Principal => new Principal(elsewhere, authority());

test("elsewhere than on loopback it is https with a certificate of the cluster, and everything needs a sign-in", async () => {
  const stranger = principal();
  for (const path of ["/api/visitor", "/api/document", "/api/samples", "/api/stream", "/metrics"])
    expect({ path, status: (await stranger.ask(path)).status }).toEqual({ path, status: 401 });
  expect((await stranger.ask("/")).headers.location).toBe("/sign-in");
  const form = await stranger.ask("/sign-in");
  expect(form.status).toBe(200);
  expect(form.headers["content-security-policy"]).toContain("default-src 'none'");
  expect((await stranger.post("/api/act", { action: { kind: "backup" } })).status).toBe(401);
  await expect(new Principal(elsewhere.replace("https", "http")).ask("/")).rejects.toThrow();
  await expect(new Principal(elsewhere).ask("/")).rejects.toThrow(/certificate/);

  const viewer = principal();
  const answer = await viewer.signIn("viewer", password("viewer"));
  expect(answer.status).toBe(303);
  expect(answer.headers["set-cookie"]?.[0]).toMatch(/^__Host-odoo-pg-test=[\w-]+;.*Secure/);
  expect((await viewer.ask("/")).status).toBe(200);
  expect((await viewer.ask("/api/document")).status).toBe(200);
  // At the other door the same cookie has another name.
  expect((await new Principal(`http://127.0.0.1:${port}`).ask("/api/visitor")).text).toContain(
    '"signed_in":false',
  );
  const named = { host: `evil.example:${port}`, origin: `https://evil.example:${port}` };
  expect((await viewer.ask("/api/document", { headers: named })).status).toBe(403);
  const certified = { host: `localhost:${port}` };
  expect((await viewer.ask("/api/document", { headers: certified })).status).toBe(200);
});

test("Prometheus signs in with a password at each scrape", async () => {
  const scrape = async (words: string, from = principal()) =>
    await from.ask("/metrics", {
      headers: { authorization: `Basic ${Buffer.from(words).toString("base64")}` },
    });
  const right = await scrape(`viewer:${password("viewer")}`);
  expect(right.status).toBe(200);
  expect(right.headers["content-type"]).toContain("version=0.0.4");
  expect(right.text).toContain("pg_up");
  const wrong = await scrape("viewer:guess");
  expect(wrong.status).toBe(401);
  expect(wrong.headers["www-authenticate"]).toContain("Basic");
  expect((await new Principal(`http://127.0.0.1:${port}`).ask("/metrics")).status).toBe(200);
});

test("another up leaves the certificate and the open pages as they are", async () => {
  const file = join(cluster.stateDir, "tls", "console.crt");
  const before = readFileSync(file, "utf8");
  const viewer = principal();
  await viewer.signIn("viewer", password("viewer"));
  const stream = await viewer.open("/api/stream");
  await cluster.up();
  expect(readFileSync(file, "utf8")).toBe(before);
  expect(stream.closed).toBe(false);
  expect((await viewer.ask("/api/visitor")).status).toBe(200);
  stream.destroy();
});

test("wrong passwords are slowed down; the link of the command still signs in", async () => {
  const guesser = principal();
  let status = 0;
  for (let tries = 0; tries < 6; tries++)
    status = (await guesser.signIn("operator", `guess ${tries}`)).status;
  expect(status).toBe(429);
  const right = await guesser.signIn("operator", password("operator"));
  expect(right.status).toBe(429);
  expect(Number(right.headers["retry-after"])).toBeGreaterThan(0);
  const { stdout } = await cluster.run(["console"]);
  const path = stdout.trim().slice(`http://127.0.0.1:${port}`.length);
  expect((await guesser.ask(path)).status).toBe(303);
  expect((await guesser.ask("/api/visitor")).text).toContain('"role":"operator"');
  await waitFor("the log to tell of it", () =>
    readFileSync(join(cluster.stateDir, "agent.log"), "utf8").includes("a wrong password from"),
  );
});
