import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { GivenSecret } from "../../src/console/given-secret.ts";
import { Jobs } from "../../src/console/jobs.ts";
import { Uploads } from "../../src/console/uploads.ts";
import type { Job } from "../../src/cluster/documents/console.ts";
import { isAlive } from "../support/processes.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

/** Jobs whose program is a script in the place of odoo-pg. */
function jobsRunning(script: string): { readonly jobs: Jobs; readonly changes: () => number } {
  const folder = temporaryFolder();
  const file = join(folder, "program.mjs");
  writeFileSync(file, script);
  let changes = 0;
  const jobs = new Jobs({
    stateDir: join(folder, "state"),
    program: [process.execPath, file],
    configFile: () => "/etc/prod.yaml",
    called: "/srv/odoo-pg/dist/odoo-pg",
    uploads: new Uploads({ dir: join(folder, "uploads"), log: () => {} }),
    secrets: new GivenSecret({ dir: folder, log: () => {} }),
    changed: () => {
      changes += 1;
    },
  });
  atEnd(async () => await jobs.close());
  return { jobs, changes: () => changes };
}

async function ended(jobs: Jobs, { id }: Job): Promise<Job> {
  let found: Job | undefined;
  await waitFor("the job to end", () => {
    found = jobs.list().find((job) => job.id === id);
    return found !== undefined && found.ended_at !== null;
  });
  if (!found) throw new Error("the job is gone");
  return found;
}

test("a job is a process with the arguments of its command, who asked in its environment, and its exit status", async () => {
  const { jobs, changes } = jobsRunning(
    "console.log(JSON.stringify(process.argv.slice(2)), process.env.ODOO_PG_ASKED_BY, process.env.HOME ?? 'no home'); process.exit(7);",
  );
  const job = jobs.act({ kind: "backup", database: "shop; rm -rf /" }, "operator");
  expect(job).toMatchObject({
    command: "/srv/odoo-pg/dist/odoo-pg backup create 'shop; rm -rf /' --config /etc/prod.yaml",
    by: "operator",
    plan: false,
  });
  const { exit_status, lines } = await ended(jobs, job);
  expect(exit_status).toBe(7);
  expect(lines).toHaveLength(1);
  const [first = "", rest = ""] = (lines[0] ?? "").split("] ");
  expect(JSON.parse(`${first}]`).slice(3)).toEqual([
    "--while-input-open",
    "--tell-progress",
    "--",
    "backup",
    "create",
    "shop; rm -rf /",
  ]);
  expect(rest).toBe("operator no home");
  expect(changes()).toBeGreaterThan(2);
});

test("what changes the configuration file goes by that file, also where it was changed since it was applied", async () => {
  const { jobs } = jobsRunning("console.log(process.argv.slice(2).join(' '));");
  const accepted = await ended(jobs, jobs.act({ kind: "accept_setting", setting: "work_mem" }, "operator"));
  expect(accepted.lines.join("\n")).toMatch(/tune --apply --only=work_mem --config \/etc\/prod\.yaml$/);
  const { lines } = await ended(jobs, jobs.act({ kind: "backup" }, "operator"));
  expect(lines.join("\n")).not.toContain("--config");
});

test("of what a job prints the last 200 lines are kept, and of a line 2000 characters", async () => {
  const { jobs } = jobsRunning(
    "for (let count = 1; count <= 1000; count++) console.error(`line ${count} ` + 'x'.repeat(count === 1000 ? 1e6 : 0)); process.stdout.write('y'.repeat(1e6));",
  );
  const { lines } = await ended(jobs, jobs.act({ kind: "backup" }, "operator"));
  expect(lines).toHaveLength(200);
  expect(lines.every((line) => line.length <= 2000)).toBe(true);
  expect(lines.some((line) => line.startsWith("line 999 "))).toBe(true);
});

test("eight may run; they end with the agent, also those that do not want to; the newest are kept", async () => {
  const { jobs } = jobsRunning(
    "process.on('SIGTERM', () => console.log('no')); setInterval(() => {}, 1000); console.log(process.pid);",
  );
  for (let count = 0; count < 40; count++) jobs.plan({ kind: "backup" }, "operator");
  for (let count = 0; count < 8; count++) jobs.act({ kind: "backup" }, "operator");
  expect(() => jobs.act({ kind: "backup" }, "operator")).toThrow(/still running/);
  expect(() => jobs.plan({ kind: "switchover" }, "operator")).toThrow(/still running/);
  expect(jobs.list().length).toBeLessThanOrEqual(38);
  const running = jobs.list().filter(({ ended_at }) => ended_at === null);
  expect(running).toHaveLength(8);
  await waitFor("all to have begun", () =>
    jobs.list().every(({ ended_at, lines }) => ended_at !== null || lines.length > 0),
  );
  const pids = jobs
    .list()
    .filter(({ ended_at }) => ended_at === null)
    .map(({ lines }) => Number(lines[0]));
  await jobs.close();
  expect(pids.filter(isAlive)).toEqual([]);
  expect(() => jobs.act({ kind: "backup" }, "operator")).toThrow(/shutting down/);
});

test("a job tells how far it is, and no longer when it has ended", async () => {
  const { jobs } = jobsRunning(
    [
      'import { writeSync } from "node:fs";',
      "const far = { progress: { done_bytes: 1, total_bytes: 4, left_seconds: 9 } };",
      'writeSync(3, [JSON.stringify(far), "{}", "nonsense", ""].join("\\n"));',
      "setTimeout(() => {}, 500);",
    ].join("\n"),
  );
  jobs.act({ kind: "backup" }, "operator");
  await waitFor("the job to tell", () => jobs.list()[0]?.progress?.left_seconds === 9);
  await waitFor("the job to end", () => jobs.list()[0]?.ended_at != null);
  expect(jobs.list()[0]).toMatchObject({ progress: null, exit_status: 0, lines: [] });
});

test("a job shows its command as it is typed on the host, with the configuration that it needs", () => {
  const { jobs } = jobsRunning("");
  const { command } = jobs.plan({ kind: "copy", source: "-a", copy: "b", neutralize: true }, "operator");
  expect(command).toBe("/srv/odoo-pg/dist/odoo-pg db copy --neutralize --config /etc/prod.yaml -- -a b");
});

test("a program that cannot be started is a job that failed", async () => {
  const jobs = new Jobs({
    stateDir: "/nowhere",
    program: ["/nowhere/node", "x"],
    configFile: () => undefined,
    called: "odoo-pg",
    uploads: new Uploads({ dir: "/nowhere/uploads", log: () => {} }),
    secrets: new GivenSecret({ dir: "/nowhere", log: () => {} }),
    changed: () => {},
  });
  const job = await ended(jobs, jobs.act({ kind: "backup" }, "operator"));
  expect(job.exit_status).toBe(128);
  expect(job.lines.join()).toContain("cannot be started");
});
