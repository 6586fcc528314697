import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { channelsOf, type Channel, type ChannelName } from "../../src/alarms/channels.ts";
import { messageSchema } from "../../src/alarms/message.ts";
import { configSchema } from "../../src/config/schema.ts";
import { freePort } from "../support/ports.ts";
import { httpReceiver } from "../support/http-receiver.ts";
import { smtpServer } from "../support/smtp-server.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { PRIMARY_DOWN } from "./primary-down.ts";

const message = PRIMARY_DOWN;

function secretFile(text: string): string {
  const file = join(temporaryFolder(), "secret");
  writeFileSync(file, `${text}\n`, { mode: 0o600 });
  return file;
}

function channel(name: ChannelName, alarms: Readonly<Record<string, unknown>>): Channel {
  const found = channelsOf(configSchema.parse({ alarms })).find((one) => one.name === name);
  if (!found) throw new Error(`no channel ${name}`);
  return found;
}

async function failure(delivery: Promise<unknown>): Promise<string> {
  return await delivery.then(
    () => "delivered",
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}

describe("by HTTP", () => {
  test("the webhook gets the document as JSON", async () => {
    const receiver = await httpReceiver();
    const webhook_file = secretFile(`${receiver.address}/hook?key=s3cret`);
    expect(await channel("webhook", { webhook_file }).deliver(message)).toBeUndefined();
    const [request] = receiver.received;
    expect(request).toMatchObject({ method: "POST", path: "/hook?key=s3cret", type: "application/json" });
    expect(messageSchema.parse(JSON.parse(request?.body ?? ""))).toEqual(message);
  });

  test("Slack and Telegram get their own forms", async () => {
    const receiver = await httpReceiver();
    const slack_file = secretFile(`${receiver.address}/services/T0/B0/key`);
    await channel("slack", { slack_file }).deliver(message);
    const telegram_file = secretFile(`${receiver.address}/bot123:token/sendMessage?chat_id=-42`);
    await channel("telegram", { telegram_file }).deliver(message);
    const [slack, telegram] = receiver.received;
    expect(JSON.parse(slack?.body ?? "")).toEqual({
      text: expect.stringMatching(/^\[prod\] CRITICAL begins: primary_down \(pg1\)\n/),
    });
    expect(telegram?.path).toBe("/bot123:token/sendMessage");
    expect(JSON.parse(telegram?.body ?? "")).toMatchObject({
      chat_id: "-42",
      text: expect.stringContaining("nothing can be written"),
    });
  });

  test("a check at healthchecks.io is failed, told of, and kept alive", async () => {
    const receiver = await httpReceiver();
    const healthchecks_file = secretFile(`${receiver.address}/uuid`);
    const check = channel("healthchecks", { healthchecks_file });
    await check.deliver(message);
    await check.deliver({ ...message, severity: "warning" });
    await check.deliver({ ...message, event: "ends", on: { critical: 0, warning: 0 } });
    await check.alive?.("all is well");
    expect(receiver.received.map(({ path }) => path)).toEqual(["/uuid/fail", "/uuid/log", "/uuid", "/uuid"]);
    expect(receiver.received[3]?.body).toBe("all is well");
  });

  test("what healthchecks.io answers to a check that it does not know is a failure, whatever the status", async () => {
    const receiver = await httpReceiver();
    receiver.answer = (_request, response) => void response.end("OK (not found)");
    const file = secretFile(`${receiver.address}/uuid`);
    expect(await failure(channel("healthchecks", { healthchecks_file: file }).deliver(message))).toBe(
      `${file}: it answers "OK (not found)"`,
    );
  });

  test("a failure says what was answered, but never the address", async () => {
    const receiver = await httpReceiver();
    const file = secretFile(`${receiver.address}/bot123:tokentoken/sendMessage?chat_id=-42`);
    const telegram = channel("telegram", { telegram_file: file });
    receiver.answer = (_request, response) => {
      response.statusCode = 400;
      response.end('{"ok":false,"description":"Bad Request: chat not found"}');
    };
    expect(await failure(telegram.deliver(message))).toBe(
      `${file}: the address answered with status 400: {"ok":false,"description":"Bad Request: chat not found"}`,
    );
    receiver.answer = ({ path }, response) => {
      response.statusCode = 404;
      response.end(`Cannot POST ${path}`);
    };
    expect(await failure(telegram.deliver(message))).toBe(`${file}: the address answered with status 404`);
  });

  test("nobody who listens, a wrong address, an empty and a missing file are told of by the name of the file", async () => {
    const file = secretFile(`http://127.0.0.1:${await freePort()}/secret-path`);
    const webhook = channel("webhook", { webhook_file: file });
    expect(await failure(webhook.deliver(message))).toBe(
      `${file}: the address does not answer (ECONNREFUSED)`,
    );
    writeFileSync(file, "hunter2");
    expect(await failure(webhook.deliver(message))).toBe(`${file}: it holds no http(s) address`);
    writeFileSync(file, "\n");
    expect(await failure(webhook.deliver(message))).toBe(`${file} is empty`);
    expect(await failure(channel("webhook", { webhook_file: "/nowhere/at/all" }).deliver(message))).toBe(
      "there is no file /nowhere/at/all",
    );
  });
});

describe("by mail", () => {
  const mailing = (port: number, more: Readonly<Record<string, unknown>>) => ({
    mail: {
      host: "127.0.0.1",
      port,
      from: "odoo-pg@example.com",
      to: ["admin@example.com", "boss@example.com"],
      ...more,
    },
  });

  test("with STARTTLS and a login it is encrypted before the password goes", async () => {
    const login = { user: "me", password: "s3cret-Pass" };
    const server = await smtpServer({ security: "starttls", login });
    const password_file = secretFile(login.password);
    const alarms = mailing(server.port, { user: "me", password_file, ca_file: server.caFile });
    expect(await channel("mail", alarms).deliver({ ...message, text: "größer\n.\nals" })).toBeUndefined();
    expect(server.mails).toHaveLength(1);
    const [mail] = server.mails;
    expect(mail).toMatchObject({
      from: "odoo-pg@example.com",
      to: ["admin@example.com", "boss@example.com"],
      encrypted: true,
      user: "me",
      text: expect.stringContaining("größer . als\r\nNext: odoo-pg logs pg1"),
    });
    expect(mail?.headers.get("subject")).toBe("[prod] CRITICAL begins: primary_down (pg1)");
    expect(mail?.headers.get("auto-submitted")).toBe("auto-generated");
  });

  test("with TLS from the start, and without any, it arrives too", async () => {
    const secure = await smtpServer({ security: "tls" });
    await channel("mail", mailing(secure.port, { security: "tls", ca_file: secure.caFile })).deliver(message);
    expect(secure.mails[0]).toMatchObject({ encrypted: true, user: undefined });
    const plain = await smtpServer({ security: "none" });
    await channel("mail", mailing(plain.port, { security: "none" })).deliver(message);
    expect(plain.mails[0]).toMatchObject({ encrypted: false });
  });

  test("nothing is sent to a server without STARTTLS, nor to one whose certificate nobody vouches for", async () => {
    const plain = await smtpServer({ security: "none" });
    expect(await failure(channel("mail", mailing(plain.port, {})).deliver(message))).toMatch(
      new RegExp(`^127\\.0\\.0\\.1:${plain.port}: .*STARTTLS`),
    );
    const unknown = await smtpServer({ security: "starttls" });
    expect(await failure(channel("mail", mailing(unknown.port, {})).deliver(message))).toMatch(
      /certificate .*alarms\.mail\.ca_file/,
    );
    expect([...plain.mails, ...unknown.mails]).toEqual([]);
  });

  test("a refused login gives the server's words, and not the password", async () => {
    const server = await smtpServer({ security: "starttls", login: { user: "me", password: "right" } });
    const password_file = secretFile("wrong-Passw0rd");
    const alarms = mailing(server.port, { user: "me", password_file, ca_file: server.caFile });
    const words = await failure(channel("mail", alarms).deliver(message));
    expect(words).toContain("535 5.7.8 authentication failed");
    expect(words).not.toContain("wrong-Passw0rd");
    expect(words).not.toContain(Buffer.from("\0me\0wrong-Passw0rd").toString("base64"));
  });

  test("one receiver that the server refuses does not keep it from the others, and is named", async () => {
    const server = await smtpServer({ security: "none", refuses: ["boss@example.com"] });
    const mail = channel("mail", mailing(server.port, { security: "none" }));
    expect(await mail.deliver(message)).toBe("the server refused boss@example.com");
    expect(server.mails.map(({ to }) => to)).toEqual([["admin@example.com"]]);
  });

  test("a server that is not there is told of", async () => {
    const nobody = await freePort();
    expect(await failure(channel("mail", mailing(nobody, {})).deliver(message))).toMatch(/ECONNREFUSED/);
  });
});

describe("by a command", () => {
  test("the document comes on standard input, without a shell", async () => {
    const file = join(temporaryFolder(), "told $(id)");
    await channel("command", { command: ["tee", file] }).deliver(message);
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(message);
  });

  test("one that fails, does not read, or is not there is told of", async () => {
    const script = join(temporaryFolder(), "fails");
    writeFileSync(script, "#!/bin/sh\necho no pager there >&2\nexit 3\n");
    chmodSync(script, 0o755);
    expect(await failure(channel("command", { command: [script] }).deliver(message))).toBe(
      `${script} ended with exit status 3: no pager there`,
    );
    expect(await failure(channel("command", { command: ["true"] }).deliver(message))).toBe("delivered");
    expect(await failure(channel("command", { command: ["/nowhere/page-me"] }).deliver(message))).toContain(
      "/nowhere/page-me cannot be started",
    );
  });
});

test("whoever hangs is given up after 15 s", async () => {
  const receiver = await httpReceiver();
  receiver.answer = () => {};
  const webhook_file = secretFile(`${receiver.address}/hook`);
  // To a client of SMTP, a server that waits for a request says nothing.
  const port = Number(new URL(receiver.address).port);
  const mail = { host: "127.0.0.1", port, security: "none", from: "a@example.com", to: ["b@example.com"] };
  const [webhook, mailed, command] = await Promise.all([
    failure(channel("webhook", { webhook_file }).deliver(message)),
    failure(channel("mail", { mail }).deliver(message)),
    failure(channel("command", { command: ["sleep", "60"] }).deliver(message)),
  ]);
  expect(webhook).toBe(`${webhook_file}: the address does not answer (not within 15 s)`);
  expect(mailed).toMatch(new RegExp(`^127\\.0\\.0\\.1:${port}`));
  expect(command).toBe("sleep did not end within 15 s; it was stopped.");
});
