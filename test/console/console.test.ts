import { once } from "node:events";
import { createServer } from "node:net";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { freePort } from "../support/ports.ts";
import { isAlive, processesNaming } from "../support/processes.ts";
import { atEnd } from "../support/scope.ts";
import { waitFor } from "../support/wait.ts";
import { Principal, type Answer } from "./visitor.ts";

let cluster: ThrowawayCluster;
let port: number;
let url: string;

beforeAll(async () => {
  port = await freePort();
  url = `http://127.0.0.1:${port}`;
  cluster = await throwawayCluster({ config: { console: { enabled: true, port } } });
  const up = await cluster.up();
  expect(up.stdout).toContain(`Console ${url}/`);
  await cluster.healthy();
});

const linkSchema = z.object({ version: z.literal(1), url: z.string(), link: z.string(), until: z.string() });

async function newLink(): Promise<string> {
  const { link } = linkSchema.parse(await cluster.json(["console"]));
  return link.slice(url.length);
}

const password = (role: "viewer" | "operator"): string =>
  readFileSync(join(cluster.stateDir, "secrets", `console_${role}.password`), "utf8").trimEnd();

/** Somebody who has signed in, with the token that orders need. */
async function signedIn(role: "viewer" | "operator" = "operator") {
  const principal = new Principal(url);
  expect((await principal.signIn(role, password(role))).status).toBe(303);
  return { principal, headers: { "x-odoo-pg-token": await tokenOf(principal) } };
}

async function tokenOf(principal: Principal): Promise<string> {
  const { token } = z.object({ token: z.string() }).parse((await principal.ask("/api/visitor")).json());
  return token;
}

const errorOf = ({ status, text }: Answer) => ({
  status,
  code: z.object({ error: z.object({ code: z.string() }) }).parse(JSON.parse(text)).error.code,
});

const jobSchema = z.object({
  id: z.string(),
  command: z.string(),
  plan: z.boolean(),
  by: z.string(),
  ended_at: z.string().nullable(),
  exit_status: z.number().nullable(),
  lines: z.string().array(),
});
type Job = z.output<typeof jobSchema>;
const documentSchema = z.object({
  version: z.literal(1),
  cluster: z.string(),
  verdict: z.object({ level: z.string() }),
  jobs: jobSchema.array(),
});

const jobOf = (answer: Answer): Job => jobSchema.parse(answer.json());
const documentOf = (answer: Answer) => documentSchema.parse(answer.json());

async function ended(principal: Principal, { id }: Job): Promise<Job> {
  let found: Job | undefined;
  await waitFor("the job to end", async () => {
    found = documentOf(await principal.ask("/api/document")).jobs.find((job) => job.id === id);
    return found !== undefined && found.ended_at !== null;
  });
  if (!found) throw new Error("the job is gone");
  return found;
}

describe("looking", () => {
  test("needs no sign-in on loopback: the page, what it shows, and its files", async () => {
    const anybody = new Principal(url);
    expect((await anybody.ask("/api/visitor")).json()).toEqual({
      role: "viewer",
      signed_in: false,
      read_only: false,
      token: "",
    });
    const page = await anybody.ask("/");
    expect(page.status).toBe(200);
    expect(page.headers["content-security-policy"]).toContain("default-src 'none'");
    expect(page.headers).toMatchObject({
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
      "cache-control": "no-store",
    });
    expect(page.headers["access-control-allow-origin"]).toBeUndefined();
    const script = /src="(\/assets\/[^"]+)"/.exec(page.text)?.[1] ?? "";
    const loaded = await anybody.ask(script);
    expect(loaded.status).toBe(200);
    expect(loaded.headers["cache-control"]).toContain("immutable");
    const document = documentOf(await anybody.ask("/api/document"));
    expect(document).toMatchObject({ version: 1, cluster: "test", verdict: { level: "ok" }, jobs: [] });
    expect((await anybody.ask("/api/samples")).status).toBe(200);
  });

  test("is refused for what a proxy passes on from elsewhere, and for names that are not ours", async () => {
    const anybody = new Principal(url);
    const refusal = async (headers: Record<string, string>, path = "/api/document") =>
      errorOf(await anybody.ask(path, { headers }));
    expect(await refusal({ "x-forwarded-for": "203.0.113.9" })).toEqual({
      status: 401,
      code: "sign_in_needed",
    });
    const foreign = { status: 403, code: "not_allowed" };
    expect(await refusal({ host: `evil.example:${port}` })).toEqual(foreign);
    expect(await refusal({ host: `10.0.0.1:${port}` })).toEqual(foreign);
    expect(await refusal({ origin: "http://evil.example" })).toEqual(foreign);
    expect(await refusal({ origin: "null" })).toEqual(foreign);
    expect(await refusal({ "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" })).toEqual(foreign);
    // The end of a tunnel has another port; a link from elsewhere may be followed.
    expect((await anybody.ask("/api/document", { headers: { host: "localhost:8080" } })).status).toBe(200);
    const link = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" };
    expect((await anybody.ask("/", { headers: link })).status).toBe(200);
  });

  test("for what is not there, and for what is no order, gives an error and no trace", async () => {
    const { principal, headers } = await signedIn();
    expect(errorOf(await principal.ask("/api/nothing"))).toEqual({ status: 404, code: "usage" });
    expect(errorOf(await principal.post("/api/plan", { kind: "destroy" }, headers))).toEqual({
      status: 400,
      code: "usage",
    });
    const path = { kind: "restore_copy", backup: "../../etc/passwd", as: "x", neutralize: true };
    expect(errorOf(await principal.post("/api/act", { action: path }, headers)).code).toBe("usage");
    const large = await principal.ask("/api/plan", { method: "POST", headers, body: "x".repeat(20_000) });
    expect(errorOf(large)).toEqual({ status: 400, code: "usage" });
  });
});

describe("signing in", () => {
  test("by the link that the command prints works once, and sets a cookie that no script can read", async () => {
    const path = await newLink();
    const first = new Principal(url);
    const answer = await first.ask(path);
    expect(answer.status).toBe(303);
    expect(answer.headers.location).toBe("/");
    expect(answer.headers["set-cookie"]?.[0]).toMatch(/HttpOnly.*SameSite=Strict/i);
    expect((await first.ask("/api/visitor")).json()).toMatchObject({ role: "operator", signed_in: true });
    const second = new Principal(url);
    expect((await second.ask(path)).status).toBe(401);
    expect((await second.ask("/api/visitor")).json()).toMatchObject({ signed_in: false });
    expect((await first.ask("/sign-out", { method: "POST" })).status).toBe(303);
    expect((await first.ask("/api/visitor")).json()).toMatchObject({ signed_in: false });
  });

  test("by the passwords that were generated, which only their owner can read and no log holds", async () => {
    const { stdout } = await cluster.run(["console", "--passwords"]);
    for (const role of ["viewer", "operator"] as const) {
      const file = join(cluster.stateDir, "secrets", `console_${role}.password`);
      expect(stdout).toContain(`${role}: ${file}`);
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(password(role)).toMatch(/^[A-Za-z0-9]{32}$/);
      const { principal } = await signedIn(role);
      expect((await principal.ask("/api/visitor")).json()).toMatchObject({ role, signed_in: true });
    }
    // A role's password is not that of the other.
    expect((await new Principal(url).signIn("operator", password("viewer"))).status).toBe(401);
    const log = readFileSync(join(cluster.stateDir, "agent.log"), "utf8");
    for (const role of ["viewer", "operator"] as const) expect(log).not.toContain(password(role));
    expect(log).toContain("signed in as operator");
    expect(log).not.toContain("key=");
  });
});

describe("acting", () => {
  const action = { kind: "switchover" };

  test("is refused to everybody but a signed-in operator with the token of the page", async () => {
    const order = { action };
    expect(errorOf(await new Principal(url).post("/api/act", order))).toEqual({
      status: 403,
      code: "not_allowed",
    });
    expect(errorOf(await new Principal(url).post("/api/plan", action)).code).toBe("not_allowed");
    const viewer = await signedIn("viewer");
    expect(errorOf(await viewer.principal.post("/api/act", order, viewer.headers)).code).toBe("not_allowed");
    const { principal, headers } = await signedIn();
    expect(errorOf(await principal.post("/api/act", order)).code).toBe("not_allowed");
    expect(errorOf(await principal.post("/api/act", order, viewer.headers)).code).toBe("not_allowed");
    const foreign = { ...headers, origin: "http://evil.example" };
    expect(errorOf(await principal.post("/api/act", order, foreign)).code).toBe("not_allowed");
    expect(
      errorOf(await principal.post("/api/act", { action: { kind: "reseed", node: "pg2" } }, headers)),
    ).toEqual({
      status: 400,
      code: "confirmation_missing",
    });
    expect(documentOf(await principal.ask("/api/document")).jobs).toEqual([]);
  });

  test("a switchover shows its plan first, then its progress, and others see that it ran, not what it said", async () => {
    const { principal, headers } = await signedIn();
    const before = (await cluster.status()).endpoints.write.node;
    const plan = await ended(principal, jobOf(await principal.post("/api/plan", action, headers)));
    expect(plan).toMatchObject({
      plan: true,
      by: "operator",
      exit_status: 0,
      command: `odoo-pg switchover --config ${cluster.folder}/odoo-pg.yaml`,
    });
    expect(plan.lines.join("\n")).toContain("Dry run: nothing was changed.");
    expect((await cluster.status()).endpoints.write.node).toBe(before);

    const started = await principal.post("/api/act", { action }, headers);
    expect(started.status).toBe(202);
    const job = await ended(principal, jobOf(started));
    expect(job).toMatchObject({ plan: false, exit_status: 0 });
    expect(job.lines.length).toBeGreaterThan(2);
    expect(job.lines.at(-1)).toContain("Done. To undo: odoo-pg switchover");
    expect((await cluster.status()).endpoints.write.node).not.toBe(before);
    const [seen] = documentOf(await new Principal(url).ask("/api/document")).jobs;
    expect(seen).toMatchObject({ id: job.id, exit_status: 0, lines: [] });
    const { stdout } = await cluster.run(["events", "--json"]);
    expect(stdout).toContain('"by": "operator"');
    await cluster.healthy();
  });

  test("a backup of one database runs with the configuration that was applied", async () => {
    const session = await cluster.onPrimary();
    await session.rows("CREATE DATABASE shop");
    const { principal, headers } = await signedIn();
    const backup = { kind: "backup", database: "shop" };
    const words = jobOf(await principal.post("/api/plan", backup, headers));
    expect(words).toMatchObject({
      exit_status: 0,
      plan: true,
      command: `odoo-pg backup create shop --config ${cluster.folder}/odoo-pg.yaml`,
    });
    expect(words.lines[0]).toContain('Database "shop" is backed up');
    const job = await ended(principal, jobOf(await principal.post("/api/act", { action: backup }, headers)));
    expect({ status: job.exit_status, lines: job.lines.join("\n") }).toMatchObject({ status: 0 });
    const { stdout } = await cluster.run(["backup", "list", "--json"]);
    expect(stdout).toContain('"shop"');
  });

  test("a name that looks like an option is a name", async () => {
    const { principal, headers } = await signedIn();
    const backup = { kind: "backup", database: "--all" };
    const job = await ended(principal, jobOf(await principal.post("/api/act", { action: backup }, headers)));
    expect(job.exit_status).not.toBe(0);
    expect(job.lines.join("\n")).toContain("--all");
  });

  test("what a session runs is cancelled, and the session is ended", async () => {
    const victim = await cluster.session("write", "odoo", "postgres");
    const pid = Number(await victim.value("SELECT pg_backend_pid()"));
    const running = victim.rows("SELECT pg_sleep(120)").then(
      () => "ended",
      (error: unknown) => String(error),
    );
    const { principal, headers } = await signedIn();
    const cancel = { kind: "cancel_session", pid };
    const plan = await ended(principal, jobOf(await principal.post("/api/plan", cancel, headers)));
    expect(plan.lines.join("\n")).toContain("pg_sleep");
    const job = await ended(principal, jobOf(await principal.post("/api/act", { action: cancel }, headers)));
    expect({ status: job.exit_status, lines: job.lines }).toMatchObject({ status: 0 });
    expect(await running).toContain("canceling statement");
    const terminate = { kind: "terminate_session", pid };
    const last = await ended(
      principal,
      jobOf(await principal.post("/api/act", { action: terminate }, headers)),
    );
    expect({ status: last.exit_status, lines: last.lines }).toMatchObject({ status: 0 });
    await waitFor("the session to be cut", victim.isCut);
  });
});

describe("a file that is uploaded", () => {
  const stateSchema = z.object({ id: z.string(), done_bytes: z.number(), piece_bytes: z.number() });
  const folder = (): string => join(cluster.stateDir, "uploads");
  const begin = async (principal: Principal, headers: Record<string, string>, bytes: number) =>
    await principal.post("/api/uploads", { bytes }, headers);
  const sendPiece = async (
    principal: Principal,
    headers: Record<string, string>,
    { id, at, piece }: { readonly id: string; readonly at: number; readonly piece: string },
  ) => await principal.ask(`/api/uploads/${id}?at=${at}`, { method: "POST", headers, body: piece });

  test("is taken from operators with the page's token alone, and no more of it than there is room for", async () => {
    const refused = { status: 403, code: "not_allowed" };
    const viewer = await signedIn("viewer");
    expect(errorOf(await begin(viewer.principal, viewer.headers, 10))).toEqual(refused);
    const { principal, headers } = await signedIn();
    expect(errorOf(await begin(principal, {}, 10))).toEqual(refused);
    const foreign = { ...headers, origin: "http://evil.example" };
    expect(errorOf(await begin(principal, foreign, 10))).toEqual(refused);
    const large = await begin(principal, headers, 2 ** 52);
    expect(errorOf(large)).toEqual({ status: 409, code: "refused" });
    expect(large.text).toMatch(/at most [\d.]+ [GMT]B, half of what is free/);
    expect(errorOf(await begin(principal, headers, -1))).toEqual({ status: 400, code: "usage" });
  });

  test("comes in pieces into a file that only we may read, is restored, and is gone afterwards", async () => {
    const { principal, headers } = await signedIn();
    const text = `CREATE TABLE sent (n int);\n-- ${"x".repeat(400_000)}\nINSERT INTO sent VALUES (41), (42);\n`;
    const { id, piece_bytes: size } = stateSchema.parse(
      (await begin(principal, headers, text.length)).json(),
    );
    expect(errorOf(await begin(principal, headers, 10))).toEqual({ status: 409, code: "refused" });
    const action = { kind: "restore_upload", upload: id, as: "sent", neutralize: false };
    const first = { id, at: 0, piece: text.slice(0, size) };
    const usage = { status: 400, code: "usage" };
    expect(errorOf(await sendPiece(principal, headers, { ...first, at: 7 }))).toEqual(usage);
    expect(errorOf(await sendPiece(principal, {}, first)).code).toBe("not_allowed");
    expect(errorOf(await sendPiece(principal, headers, { ...first, piece: text }))).toEqual(usage);
    // A page that got no answer sends it again.
    for (const _ of [1, 2])
      expect(stateSchema.parse((await sendPiece(principal, headers, first)).json()).done_bytes).toBe(size);
    expect(errorOf(await principal.post("/api/act", { action }, headers))).toEqual(usage);
    const rest = await sendPiece(principal, headers, { id, at: size, piece: text.slice(size) });
    expect(stateSchema.parse(rest.json()).done_bytes).toBe(text.length);
    expect(statSync(folder()).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder(), `${id}.zip`))).toMatchObject({ size: text.length, mode: 0o100600 });

    const plan = jobOf(await principal.post("/api/plan", action, headers));
    expect(plan.lines.join("\n")).toContain('"sent" is LIVE');
    const job = await ended(principal, jobOf(await principal.post("/api/act", { action }, headers)));
    expect({ status: job.exit_status, lines: job.lines }).toMatchObject({ status: 0 });
    const session = await cluster.session("write", "odoo", "sent");
    expect(await session.value("SELECT sum(n)::int FROM sent")).toBe(83);
    await waitFor("the file to be removed", () => readdirSync(folder()).length === 0);
    expect(errorOf(await principal.post("/api/act", { action }, headers))).toEqual(usage);
  });

  test("makes room for another at once when it is given up, by operators alone", async () => {
    const { principal, headers } = await signedIn();
    const { id } = stateSchema.parse((await begin(principal, headers, 10)).json());
    const giveUp = async (by: Record<string, string>) =>
      await principal.ask(`/api/uploads/${id}`, { method: "DELETE", headers: by });
    expect(errorOf(await giveUp({})).code).toBe("not_allowed");
    expect(errorOf(await begin(principal, headers, 10))).toEqual({ status: 409, code: "refused" });
    expect((await giveUp(headers)).status).toBe(204);
    expect(readdirSync(folder())).toEqual([]);
    const next = stateSchema.parse((await begin(principal, headers, 10)).json());
    expect(next.id).not.toBe(id);
    expect((await giveUp(headers)).status).toBe(204);
    expect(readdirSync(folder())).toHaveLength(1);
    await principal.ask(`/api/uploads/${next.id}`, { method: "DELETE", headers });
  });

  test("that is no backup is refused in the words of the restore, and removed", async () => {
    const { principal, headers } = await signedIn();
    const piece = "PK\u0003\u0004 and nothing of a zip";
    const { id } = stateSchema.parse((await begin(principal, headers, piece.length)).json());
    await sendPiece(principal, headers, { id, at: 0, piece });
    const action = { kind: "restore_upload", upload: id, as: "broken", neutralize: true };
    const job = await ended(principal, jobOf(await principal.post("/api/act", { action }, headers)));
    expect(job.exit_status).not.toBe(0);
    expect(job.lines.length).toBeGreaterThan(0);
    await waitFor("the file to be removed", () => readdirSync(folder()).length === 0);
  });
});

describe("the stream", () => {
  async function events(response: NodeJS.ReadableStream, wanted: (text: string) => boolean): Promise<string> {
    let text = "";
    for await (const chunk of response) {
      text += String(chunk);
      if (wanted(text)) return text;
    }
    throw new Error(`the stream ended: ${text}`);
  }

  test("sends the document at once, and again when a job has changed it; an operator sees the lines", async () => {
    const { principal, headers } = await signedIn();
    const response = await principal.open("/api/stream");
    expect(response.headers["content-type"]).toContain("text/event-stream");
    response.setEncoding("utf8");
    const told = events(response, (text) => text.includes("Copied for the stream"));
    const copy = { kind: "copy", source: "a", copy: "Copied for the stream", neutralize: true };
    await principal.post("/api/plan", copy, headers);
    expect(await told).toMatch(/^event: document\ndata: \{"version":1,/);
  });

  test("of a sign-in that has ended, ends", async () => {
    const { principal } = await signedIn();
    const response = await principal.open("/api/stream");
    const ended = once(response, "end");
    response.resume();
    await principal.ask("/sign-out", { method: "POST" });
    const other = await signedIn();
    await other.principal.post("/api/plan", { kind: "backup" }, other.headers);
    await ended;
  });

  test("may be open 24 times without a sign-in; what has gone makes room", async () => {
    const anybody = new Principal(url);
    const open = await Promise.all(Array.from({ length: 40 }, async () => await anybody.open("/api/stream")));
    const refused = open.filter(({ statusCode }) => statusCode === 409);
    expect(refused.length).toBe(16);
    for (const response of open) response.destroy();
    await waitFor("room for another page", async () => {
      const response = await anybody.open("/api/stream");
      response.destroy();
      return response.statusCode === 200;
    });
  });
});

describe("sessions by their number", () => {
  test("that are odoo-pg's, the server's, nobody's or no number are refused", async () => {
    const session = await cluster.onPrimary();
    const pidOf = async (condition: string): Promise<string> =>
      String(
        await session.value(
          `SELECT pid FROM pg_stat_activity WHERE ${condition} ORDER BY backend_start LIMIT 1`,
        ),
      );
    const refusal = async (pid: string): Promise<string> => {
      const { exitCode, stderr } = await cluster.run(["sessions", "terminate", pid]);
      expect(exitCode).not.toBe(0);
      return stderr;
    };
    expect(await refusal(await pidOf("application_name = 'odoo-pg agent'"))).toContain("odoo-pg's own");
    expect(await refusal(await pidOf("backend_type = 'checkpointer'"))).toContain("checkpointer");
    expect(await refusal("999999")).toContain("session_unknown");
    expect(await refusal("12; DROP")).toContain("usage");
  });
});

describe("the listener", () => {
  test("of a port that is taken leaves the cluster up, warns, and opens when the port is free again", async () => {
    const taken = await freePort();
    const other = createServer();
    other.listen(taken, "127.0.0.1");
    await once(other, "listening");
    atEnd(() => void other.close());
    cluster.configure({ console: { port: taken } });
    await cluster.up();
    const status = await cluster.status();
    expect(status.verdict).toBe("warning");
    expect(status.warnings).toEqual([
      expect.objectContaining({
        code: "console_not_served",
        message: expect.stringContaining(`port ${taken} of 127.0.0.1 is taken`),
      }),
    ]);
    const { exitCode, stderr } = await cluster.run(["console"]);
    expect(exitCode).toBe(69);
    expect(stderr).toContain("is taken");
    other.close();
    await once(other, "close");
    await waitFor("the console to open", async () => (await cluster.status()).verdict === "ok");
    expect((await new Principal(`http://127.0.0.1:${taken}`).ask("/api/visitor")).status).toBe(200);
    await expect(new Principal(url).ask("/api/visitor")).rejects.toThrow(/ECONNREFUSED/);
    cluster.configure({ console: { port } });
    await cluster.up();
  });

  test("read-only refuses every action, and a console that is turned off is gone", async () => {
    cluster.configure({ console: { port, read_only: true } });
    await cluster.up();
    const { principal, headers } = await signedIn();
    expect((await principal.ask("/api/visitor")).json()).toMatchObject({
      read_only: true,
      role: "operator",
    });
    const order = { action: { kind: "backup" } };
    expect(errorOf(await principal.post("/api/act", order, headers))).toEqual({
      status: 403,
      code: "not_allowed",
    });
    expect(errorOf(await principal.post("/api/plan", { kind: "backup" }, headers)).status).toBe(403);
    cluster.configure({ console: { enabled: false } });
    await cluster.up();
    await expect(principal.ask("/api/visitor")).rejects.toThrow(/ECONNREFUSED/);
    expect((await cluster.run(["console"])).stderr).toContain("turned off");
    cluster.configure({});
    await cluster.up();
    expect((await new Principal(url).ask("/api/visitor")).status).toBe(200);
  });

  test("closes with the agent, which takes its jobs along, and opens with the next one", async () => {
    cluster.configure({});
    await cluster.up();
    const { principal, headers } = await signedIn();
    const session = await cluster.onPrimary();
    await session.rows("CREATE DATABASE big");
    const holder = await cluster.onPrimary("postgres", "big");
    await holder.rows("CREATE TABLE t (); BEGIN; LOCK TABLE t");
    // It waits for the lock: a job that would run for long.
    const action = { kind: "backup", database: "big" };
    await principal.post("/api/act", { action }, headers);
    const jobs = (): number[] =>
      processesNaming(cluster.folder)
        .filter(({ command }) => command.includes("as-applied"))
        .map(({ pid }) => pid);
    await waitFor("the job to run", () => jobs().length > 0);
    const [job = 0] = jobs();
    process.kill(cluster.agent(), "SIGKILL");
    await waitFor("the job to end with the agent", () => !isAlive(job));
    await expect(principal.ask("/api/visitor")).rejects.toThrow(/ECONNREFUSED/);
    await holder.rows("ROLLBACK");
    await cluster.up();
    expect((await principal.ask("/api/visitor")).json()).toMatchObject({ signed_in: false });
  });
});

describe("what stands behind the overview", () => {
  const readings = {
    doctor: z.object({ findings: z.object({ message: z.string(), next_step: z.unknown() }).array() }),
    settings: z.object({
      values: z
        .object({ path: z.string(), text: z.string(), origin: z.object({ kind: z.string() }) })
        .array(),
    }),
    advice: z.object({
      settings: z.object({ name: z.string(), now: z.string(), to_write: z.boolean() }).array(),
    }),
    roles: z.object({ roles: z.object({ name: z.string(), databases: z.string().array() }).array() }),
    alarms: z.object({ alarms: z.unknown().array(), failing_channels: z.unknown().array() }),
    statements: z.object({
      statements: z.object({ statement: z.string(), share: z.number() }).array().min(1),
    }),
    changes: z.object({ hours: z.number(), changes: z.unknown().array() }),
    backups: z.object({ dir: z.string(), backups: z.unknown().array(), unreadable: z.unknown().array() }),
  };

  test("is for operators, and for nobody else", async () => {
    expect(errorOf(await new Principal(url).ask("/api/read?what=doctor"))).toEqual({
      status: 403,
      code: "not_allowed",
    });
    const { principal } = await signedIn("viewer");
    expect(errorOf(await principal.ask("/api/read?what=log&of=pg1"))).toEqual({
      status: 403,
      code: "not_allowed",
    });
  });

  test("a backup as a zip is for operators, and is asked for by an id alone", async () => {
    const path = "/api/backups/shop_20260301_1200/odoo.zip";
    const refused = { status: 403, code: "not_allowed" };
    expect(errorOf(await new Principal(url).ask(path))).toEqual(refused);
    expect(errorOf(await (await signedIn("viewer")).principal.ask(path))).toEqual(refused);
    const { principal } = await signedIn();
    for (const id of ["..%2F..%2Fetc%2Fpasswd", "--config", "shop"])
      expect(errorOf(await principal.ask(`/api/backups/${id}/odoo.zip`))).toEqual({
        status: 400,
        code: "usage",
      });
    // One that is not there fails before its first byte.
    expect(errorOf(await principal.ask(path)).code).toBe("command_failed");
  });

  test("is what the command prints", async () => {
    const { principal } = await signedIn();
    for (const [what, schema] of Object.entries(readings)) {
      const answer = await principal.ask(`/api/read?what=${what}`);
      expect([what, schema.safeParse(answer.json()).error?.issues]).toEqual([what, undefined]);
    }
    const { values } = readings.settings.parse((await principal.ask("/api/read?what=settings")).json());
    expect(values.find(({ path }) => path === "console.port")).toMatchObject({
      text: String(port),
      origin: { kind: "file" },
    });
  });

  test("is of a log only what is looked for, whatever that text is", async () => {
    const { principal } = await signedIn();
    const lines = async (query: string): Promise<readonly string[]> =>
      z
        .object({ lines: z.string().array() })
        .parse((await principal.ask(`/api/read?what=log&${query}`)).json()).lines;
    const found = await lines("of=pg1&match=READY%20to%20accept");
    expect(found.length).toBeGreaterThan(0);
    expect(found.filter((line) => !/ready to accept/.test(line))).toEqual([]);
    expect((await lines("of=pg1")).length).toBeGreaterThan(found.length);
    expect(await lines(`of=pg1&match=${encodeURIComponent("--follow")}`)).toEqual([]);
  });

  test.each([
    "what=destroy",
    "what=log&of=../../etc/passwd",
    "what=log&of=--config%3D/x",
    "what=doctor&x=1",
    "",
  ])("is nothing for %j", async (query) => {
    const { principal } = await signedIn();
    expect((await principal.ask(`/api/read?${query}`)).json()).toMatchObject({
      error: { code: expect.any(String) },
    });
  });
});
