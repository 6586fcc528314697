import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { throwawayCluster, type ThrowawayCluster } from "../support/cluster.ts";
import { httpReceiver } from "../support/http-receiver.ts";
import { freePort } from "../support/ports.ts";
import { smtpServer } from "../support/smtp-server.ts";
import { waitFor } from "../support/wait.ts";
import { Principal } from "../console/visitor.ts";

const listed = z.object({
  channels: z
    .object({ channel: z.string(), to: z.string(), applied: z.boolean(), set_up: z.boolean() })
    .array(),
  mail: z.object({ to: z.string().array() }).nullable(),
});

let cluster: ThrowawayCluster;
let port: number;
beforeAll(async () => {
  port = await freePort();
  cluster = await throwawayCluster({ nodes: 1, config: { console: { enabled: true, port } } });
  await cluster.up();
});

const secretOf = (channel: string): string => join(cluster.stateDir, "secrets", `alarm_${channel}`);
const configuration = (): string => readFileSync(cluster.configFile, "utf8");
const mode = (file: string): number => statSync(file).mode & 0o777;

describe("a way to be told that is set up by the command", () => {
  test("is tried first; its secret goes into a file that only its owner may read, and nowhere else", async () => {
    const receiver = await httpReceiver();
    const address = `${receiver.address}/services/T0/s3cret`;
    const set = await cluster.run(["alarms", "set", "slack"], { input: `${address}\n` });
    expect([set.exitCode, set.stderr]).toEqual([0, expect.stringMatching(/Next: .*: odoo-pg up /)]);
    expect(set.stdout).toMatch(/A test through slack was delivered in \d+\.\d s/);
    expect(receiver.received).toHaveLength(1);
    expect(readFileSync(secretOf("slack"), "utf8")).toBe(`${address}\n`);
    expect(mode(secretOf("slack"))).toBe(0o600);
    for (const text of [set.stdout, set.stderr, configuration()]) expect(text).not.toContain("s3cret");
    expect(configuration()).toContain(secretOf("slack"));

    const before = listed.parse(await cluster.json(["alarms", "list"]));
    expect(before.channels).toEqual([expect.objectContaining({ channel: "slack", applied: false })]);
    await cluster.up();
    const after = listed.parse(await cluster.json(["alarms", "list"]));
    expect(after.channels).toEqual([expect.objectContaining({ channel: "slack", applied: true })]);
  });

  test("changes nothing where the test does not arrive, where it is no address, and in a dry run", async () => {
    const [file, secret] = [configuration(), readFileSync(secretOf("slack"), "utf8")];
    const nobody = `http://127.0.0.1:${await freePort()}/s3cret`;
    const failed = await cluster.run(["alarms", "set", "slack"], { input: nobody });
    expect([failed.exitCode, failed.stderr]).toEqual([1, expect.stringContaining("ECONNREFUSED")]);
    for (const input of ["", "s3cret", "https://a.example/s3cret\nmore", "file:///etc/s3cret"]) {
      const refused = await cluster.run(["alarms", "set", "webhook"], { input });
      expect([input, refused.exitCode]).toEqual([input, 2]);
      expect(refused.stdout + refused.stderr).not.toContain("s3cret");
    }
    const dry = await cluster.run(["alarms", "set", "webhook", "--dry-run"], { input: nobody });
    expect([dry.exitCode, dry.stdout]).toEqual([0, expect.stringContaining("webhook_file")]);
    expect(dry.stdout + dry.stderr).not.toContain("s3cret");
    expect((await cluster.run(["alarms", "set", "pigeon"], { input: nobody })).exitCode).toBe(2);
    expect([configuration(), readFileSync(secretOf("slack"), "utf8")]).toEqual([file, secret]);
    expect(readdirSync(join(cluster.stateDir, "secrets")).filter((name) => /alarm/.test(name))).toEqual([
      "alarm_slack",
    ]);
  });

  test("may be mail, with a password that is kept when only the receivers change", async () => {
    const login = { user: "odoo-pg", password: "pass-s3cret" };
    const server = await smtpServer({ security: "none", login });
    const mail = ["alarms", "set", "mail", "--host", "127.0.0.1", "--port", String(server.port)];
    const whom = ["--security", "none", "--from", "db@example.com", "--to", "admin@example.com"];
    const wrong = await cluster.run([...mail, ...whom, "--user", "odoo-pg"], { input: "wrong" });
    expect(wrong.exitCode).toBe(1);
    const right = await cluster.run([...mail, ...whom, "--user", "odoo-pg"], { input: "pass-s3cret\n" });
    expect([right.exitCode, right.stderr]).toEqual([0, expect.any(String)]);
    expect(configuration()).not.toContain("s3cret");
    expect(mode(secretOf("mail"))).toBe(0o600);
    const more = await cluster.run(["alarms", "set", "mail", "--to", "admin@example.com, chief@example.com"]);
    expect([more.exitCode, more.stderr]).toEqual([0, expect.any(String)]);
    expect(server.mails.map(({ to }) => to.length)).toEqual([1, 2]);
    const { mail: shown } = listed.parse(await cluster.json(["alarms", "list"]));
    expect(shown?.to).toEqual(["admin@example.com", "chief@example.com"]);
    const bad = await cluster.run(["alarms", "set", "mail", "--to", "admin"]);
    expect([bad.exitCode, bad.stderr]).toEqual([2, expect.stringContaining("is not a mail address")]);
  });
});

describe("a way to be told that is taken back by the command", () => {
  test("goes with its lines alone, can be undone, and the agent is told by up", async () => {
    const before = configuration();
    const dry = await cluster.run(["alarms", "unset", "mail", "--dry-run"]);
    expect([dry.exitCode, dry.stdout]).toEqual([0, expect.stringMatching(/^ {2}- +mail:/m)]);
    expect(configuration()).toBe(before);

    const unset = await cluster.run(["alarms", "unset", "mail"]);
    expect([unset.exitCode, unset.stderr]).toEqual([0, expect.stringMatching(/Next: .*: odoo-pg up /)]);
    expect(unset.stderr).toContain(`rm ${secretOf("mail")}`);
    expect(unset.stderr).not.toContain("nobody is told");
    expect(configuration()).not.toContain("mail");
    expect(configuration()).toContain("slack_file");
    const { channels, mail } = listed.parse(await cluster.json(["alarms", "list"]));
    expect([channels.map(({ channel }) => channel), mail]).toEqual([["slack"], null]);
    expect((await cluster.run(["alarms", "list"])).stderr).toContain("Told by slack");

    const [, undo = ""] = /^To undo: cp (\S+)/m.exec(unset.stderr) ?? [];
    expect(readFileSync(undo, "utf8")).toBe(before);
  });

  test("is refused where it is not set up, or is none", async () => {
    const file = configuration();
    for (const [channel, why] of [
      ["mail", "not sent through mail, but through slack"],
      ["pigeon", "There is no channel"],
    ]) {
      const refused = await cluster.run(["alarms", "unset", channel ?? ""]);
      expect([refused.exitCode, refused.stderr]).toEqual([2, expect.stringContaining(why ?? "")]);
    }
    expect(configuration()).toBe(file);
  });

  test("says that nobody is told any more when it is the last", async () => {
    const last = await cluster.run(["alarms", "unset", "slack"]);
    expect([last.exitCode, last.stderr]).toEqual([0, expect.stringContaining("nobody is told")]);
    expect((await cluster.run(["alarms", "list"])).stderr).toContain(
      "Told by slack, until the configuration is applied",
    );
    await cluster.up();
    expect(listed.parse(await cluster.json(["alarms", "list"])).channels).toEqual([]);
    expect((await cluster.run(["alarms", "list"])).stderr).toContain("Nobody is told");
  });
});

const jobSchema = z.object({ id: z.string(), lines: z.string().array(), exit_status: z.number().nullable() });

describe("a way to be told that is set up in the page", () => {
  test("is tried, written and applied there, and its secret is never sent back", async () => {
    const receiver = await httpReceiver();
    const principal = new Principal(`http://127.0.0.1:${port}`);
    const password = readFileSync(join(cluster.stateDir, "secrets", "console_operator.password"), "utf8");
    await principal.signIn("operator", password.trimEnd());
    const { token } = z.object({ token: z.string() }).parse((await principal.ask("/api/visitor")).json());
    const headers = { "x-odoo-pg-token": token };
    const told: string[] = [];
    const act = async (action: object): Promise<z.output<typeof jobSchema>> => {
      const answer = await principal.post("/api/act", { action }, headers);
      told.push(answer.text);
      const { id } = jobSchema.parse(answer.json());
      let ended: z.output<typeof jobSchema> | undefined;
      await waitFor("the job to end", async () => {
        const document = await principal.ask("/api/document");
        told.push(document.text);
        ended = z
          .object({ jobs: jobSchema.array() })
          .parse(document.json())
          .jobs.find((job) => job.id === id && job.exit_status !== null);
        return ended !== undefined;
      });
      if (!ended) throw new Error("the job is gone");
      return ended;
    };

    const webhook = { kind: "set_alarm", channel: "webhook" };
    expect((await principal.post("/api/act", { action: webhook }, headers)).status).toBe(409);
    expect((await principal.post("/api/secret", { secret: "x" })).status).toBe(403);
    expect((await principal.post("/api/secret", { secret: "a\nb" }, headers)).status).toBe(400);
    const secret = `${receiver.address}/hook/s3cret`;
    expect((await principal.post("/api/secret", { secret }, headers)).status).toBe(204);
    const given = join(cluster.stateDir, "secrets", "console_given");
    expect(mode(given)).toBe(0o600);
    told.push((await principal.post("/api/plan", { action: webhook }, headers)).text);
    const job = await act(webhook);
    expect([job.exit_status, job.lines.join("\n")]).toEqual([0, expect.stringContaining("was delivered")]);
    await waitFor("the file to go", () => !existsSync(given));
    expect(receiver.received).toHaveLength(1);
    expect(mode(secretOf("webhook"))).toBe(0o600);

    const read = async (): Promise<z.output<typeof listed>["channels"]> => {
      const { text } = await principal.ask("/api/read?what=alarms");
      told.push(text);
      return listed.parse(JSON.parse(text)).channels;
    };
    expect((await read()).find(({ channel }) => channel === "webhook")?.applied).toBe(false);
    const applied = await act({ kind: "apply" });
    expect([applied.exit_status, applied.lines.join("\n")]).toEqual([0, expect.any(String)]);
    expect((await read()).every(({ applied: inUse }) => inUse)).toBe(true);
    expect(told.filter((text) => text.includes("s3cret"))).toEqual([]);
    expect((await principal.ask("/api/read?what=settings")).text).not.toContain("s3cret");

    const gone = await act({ kind: "unset_alarm", channel: "webhook" });
    expect([gone.exit_status, gone.lines.join("\n")]).toEqual([0, expect.stringContaining("- ")]);
    const webhookNow = async (): Promise<unknown> =>
      (await read()).find(({ channel }) => channel === "webhook");
    expect(await webhookNow()).toMatchObject({ applied: true, set_up: false });
    expect((await act({ kind: "apply" })).exit_status).toBe(0);
    expect(await webhookNow()).toBeUndefined();
  });
});
