import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { beforeAll, expect, onTestFailed, test } from "vitest";
import { program } from "../../support/program.ts";
import { waitFor } from "../../support/wait.ts";
import { DISK, type Host } from "../lab/host.ts";
import type { Lab } from "../lab/lab.ts";
import { describeOnHosts, makeLab } from "../on-hosts.ts";
import { SeveralHosts } from "../several-hosts.ts";

/**
 * For Node.js: asks etcd and the API of Patroni on hosts with the key that lies in a folder, in new connections, and prints
 * what each answered: a status, or no more than that there was none.
 */
const ASK = `
import { readFileSync } from "node:fs";
import https from "node:https";
const [folder, ...hosts] = process.argv.slice(1);
const [cert, key, ca] = ["host.crt", "host.key", "ca.crt"].map((name) => readFileSync(folder + "/" + name));
const text = (words) => Buffer.from(words).toString("base64");
const asked = [
  [2379, "POST", "/v3/kv/range", { key: text("/by-a-removed-host") }],
  [2379, "POST", "/v3/kv/put", { key: text("/by-a-removed-host"), value: text("x") }],
  [8008, "GET", "/patroni", undefined],
  [8008, "PATCH", "/config", { loop_wait: 1 }],
];
const answers = [];
for (const host of hosts) for (const [port, method, path, body] of asked)
  answers.push(await new Promise((resolve) => {
    const request = https.request({ host, port, method, path, cert, key, ca, agent: false, timeout: 3000 });
    request.on("response", (response) => { response.resume(); resolve(response.statusCode); });
    request.on("error", () => resolve("refused"));
    request.on("timeout", () => request.destroy(new Error("late")));
    request.end(body === undefined ? undefined : JSON.stringify(body));
  }));
console.log(JSON.stringify(answers));`;

/** What each of the four questions to two hosts is answered where the key is good, and where it is revoked. */
const ALL_ANSWER = Array.from({ length: 8 }, () => 200);
const ALL_REFUSE = Array.from({ length: 8 }, () => "refused");

describeOnHosts("a name that another machine was given", () => {
  let lab: Lab;
  let several: SeveralHosts;

  beforeAll(async () => {
    lab = await makeLab("h1", "h2", "h3", "h4");
    several = await SeveralHosts.alone(lab, program());
    await several.adopt();
    await several.join(lab.host("h2"));
    await several.join(lab.host("h3"));
  }, 240_000);

  test("a removed host that is switched on again starts no server, also while the machine with its name is away", async () => {
    onTestFailed(() => several.keepLogs("test-output/hosts/same-name"));
    const [first, old, another] = [lab.host("h1"), lab.host("h3"), lab.host("h4")];
    const primary = await several.leader();
    const term = await several.value(primary, "SELECT timeline_id FROM pg_control_checkpoint()");
    const replicating = `host=${primary.address} port=5433 user=replicator replication=true sslmode=require`;
    const identify = ["psql", "-X", `${replicating} passfile=${DISK}/s/secrets/replicator.pgpass`];
    const replicates = async () => await old.run([...identify, "-c", "IDENTIFY_SYSTEM"], { asServers: true });
    // From another machine: whoever has the key is not where it was.
    const withKeyOf = async (host: Host): Promise<unknown[]> => {
      const node = [process.execPath, "--input-type=module", "-e", ASK, join(host.folder, "s/ha")];
      const answers: unknown = JSON.parse(await first.do([...node, first.address, lab.host("h2").address]));
      return Array.isArray(answers) ? answers : [];
    };
    await waitFor("the key of h3 to be good", async () =>
      isDeepStrictEqual(await withKeyOf(old), ALL_ANSWER),
    );
    expect(await replicates()).toMatchObject({ exitCode: 0 });
    old.signal(/./, "SIGKILL");
    // Whoever has that machine goes on with an ordinary session, which no list of certificates ends.
    const ordinary = `host=${primary.address} port=5433 user=replicator dbname=postgres sslmode=require`;
    const session = old.run(
      [
        "psql",
        "-X",
        `${ordinary} passfile=${DISK}/s/secrets/replicator.pgpass`,
        "-c",
        "SELECT pg_sleep(250)",
      ],
      { asServers: true, timeout: 240_000 },
    );
    await waitFor(
      "h3 to be removed",
      async () => (await several.run(first, "ha", "remove", "h3", "--confirm", "h3")).exitCode === 0,
      { timeout: 60_000 },
    );
    await waitFor(
      "the key of h3 to be good for nothing",
      async () => {
        const answers = await withKeyOf(old);
        if (isDeepStrictEqual(answers, ALL_REFUSE)) return true;
        throw new Error(JSON.stringify(answers));
      },
      { timeout: 30_000 },
    );
    expect((await session).stderr).toContain("terminating connection due to administrator command");
    await waitFor(
      "the others to answer each other as before",
      async () => {
        const [read, written, ...others] = await withKeyOf(lab.host("h2"));
        const [api, changed, readThere, , ...apiThere] = others;
        // Of two hosts one alone has a vote.
        const isKept = (read === 200 && written === 200) || readThere === 200;
        return isKept && [api, changed, ...apiThere].every((answer) => answer === 200);
      },
      { timeout: 60_000 },
    );
    const invitation = await several.invitation(first);
    await several.do(another, "join", invitation, "--address", another.address, "--name", "h3");
    expect(await several.value(another, "SELECT pg_is_in_recovery()")).toBe(true);
    // Patroni itself refuses a name only while the other one with it answers.
    another.signal(/./, "SIGKILL");
    void several.run(old, "up").catch(() => undefined);
    const log = (): string => readFileSync(join(old.folder, "s/agent.log"), "utf8");
    await waitFor(
      "h3 to be told that it was removed",
      () => log().includes("another machine was given its name"),
      {
        timeout: 60_000,
      },
    );
    await expect(several.value(old, "SELECT 1")).rejects.toThrow();
    expect(old.processes().filter(({ command }) => /bin\/patroni /.test(command))).toEqual([]);
    expect(log().match(/patroni: start/g) ?? []).toHaveLength(0);
    expect(await withKeyOf(old)).toEqual(ALL_REFUSE);
    const refused = await replicates();
    expect(refused.stderr).toMatch(/pg_hba\.conf rejects|no pg_hba\.conf entry/);
    // Nobody was made to change places by all that.
    expect(await several.leader()).toBe(primary);
    expect(await several.value(primary, "SELECT timeline_id FROM pg_control_checkpoint()")).toBe(term);
    await several.do(old, "leave");
    expect(await several.value(await several.leader(), "SELECT 1")).toBe(1);
  }, 280_000);
});
