import { chmodSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, onTestFailed, test } from "vitest";
import { mayHang } from "../../support/small-disk.ts";
import { program } from "../../support/program.ts";
import { atEnd } from "../../support/scope.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait.ts";
import { ANY_SECOND, AnySecond, Marks, REPOSITORY } from "../lab/any-second.ts";
import { DISK, type Host } from "../lab/host.ts";
import { cannotMakeHosts, Lab } from "../lab/lab.ts";
import { SeveralHosts } from "../several-hosts.ts";
import { AGENT } from "./scene.ts";

const reason =
  cannotMakeHosts() ?? (mayHang ? undefined : "a disk that hangs needs a loop device and fsfreeze");
if (reason !== undefined) console.warn(`No hosts are tried: ${reason}.`);

const PGBACKREST = "/usr/bin/pgbackrest";

/** The disk of a host's repository, which is another one than the data's. */
class RepositoryDisk {
  readonly #host: Host;
  readonly #folder = `${DISK}/${REPOSITORY}`;
  #hangs = false;

  constructor(host: Host) {
    this.#host = host;
    const image = join(host.folder, "repository.img");
    writeFileSync(image, "");
    truncateSync(image, 900 * 1024 * 1024);
  }

  async make(): Promise<void> {
    await this.#host.do(["mkfs.ext4", "-q", `${DISK}/repository.img`]);
    await this.#host.do(["mkdir", "-p", this.#folder]);
    await this.mount();
    await this.#host.do(["rmdir", `${this.#folder}/lost+found`]);
    await this.#host.do(["chown", "postgres:postgres", this.#folder]);
    await this.#host.do(["chmod", "700", this.#folder]);
  }

  async mount(): Promise<void> {
    await this.#host.do(["mount", "-o", "loop", `${DISK}/repository.img`, this.#folder]);
  }

  /** As where it is pulled out. */
  async unmount(): Promise<void> {
    await this.#host.do(["umount", "--lazy", this.#folder]);
  }

  /** Whatever writes to it waits, and cannot be ended. */
  async hang(): Promise<void> {
    await this.#host.do(["fsfreeze", "--freeze", this.#folder]);
    this.#hangs = true;
  }

  async goOn(): Promise<void> {
    if (this.#hangs) await this.#host.do(["fsfreeze", "--unfreeze", this.#folder]);
    this.#hangs = false;
  }
}

/** What any second needs fails on one host: the databases go on, it is told, and no second is lost. */
describe.skipIf(reason !== undefined)("any second, and what fails on a host", () => {
  let lab: Lab;
  let several: SeveralHosts;
  let second: AnySecond;
  let marks: Marks;
  let disk: RepositoryDisk;
  let from: string | null;

  beforeAll(async () => {
    lab = await Lab.make(temporaryFolder(), ["h1", "h2", "h3"]);
    atEnd(async () => await lab.end());
    disk = new RepositoryDisk(lab.host("h1"));
    await disk.make();
    atEnd(async () => await disk.goOn());
    several = await SeveralHosts.start(lab, program());
    second = new AnySecond(several);
    for (const host of lab.hosts) {
      several.configure(host, ANY_SECOND);
      await several.do(host, "up");
    }
    const h1 = lab.host("h1");
    await waitFor("the window to begin", async () => (await second.windowOn(h1)).from !== null);
    ({ from } = await second.windowOn(h1));
    marks = Marks.start(await several.endpoint(lab.host("h3"), "write"));
    atEnd(async () => await marks.stop());
    await waitFor("marks", async () => (await second.count(h1)) > 10);
    await second.copied(h1, 2);
  }, 400_000);

  beforeEach(() => {
    onTestFailed(({ task }) =>
      several.keepLogs(join("test-output/hosts", task.name.replaceAll(/\W+/g, "-"))),
    );
  });

  /** The window goes on where it began, without a gap. */
  async function isWhole(primary: Host): Promise<void> {
    await second.copied(primary, 2);
    const seen = await second.windowOn(primary);
    expect([seen.from, seen.gaps]).toEqual([from, []]);
  }

  /** Waits until status says something, on each of these hosts. */
  async function told(words: RegExp, ...hosts: readonly Host[]): Promise<void> {
    for (const host of hosts)
      await waitFor(
        `${host.name} to say ${String(words)}`,
        async () => {
          const { stdout } = await several.run(host, "status");
          if (words.test(stdout)) return true;
          throw new Error(stdout);
        },
        { timeout: 240_000 },
      );
  }

  /** Nothing is wrong with any second any more. */
  async function isQuiet(...hosts: readonly Host[]): Promise<void> {
    await told(/^Window: (?![^]*^Any second:)/m, ...hosts);
  }

  test("the repository's disk hangs on the primary's host: it is told, another takes over, and nothing is lost", async () => {
    const [h1, h2] = [lab.host("h1"), lab.host("h2")];
    const before = await second.count(h1);
    await disk.hang();
    await second.more(h1, 20);
    await several.value(h1, "SELECT pg_switch_wal()");
    await told(/^Any second: h1 has \d+ finished WAL segments waiting/m, h1, h2);
    await second.more(h1, 5);
    await several.do(h2, "switchover", "--to", "h2");
    const after = await second.count(h2);
    await second.more(h2, 20);
    await disk.goOn();
    await several.ready(h2);
    await isWhole(h2);
    await second.isExact(
      h2,
      await second.momentOf(h2, `marks BETWEEN ${before} AND ${after}`),
      "while_it_hung",
    );
    await second.isExact(h2, await second.momentOf(h2, `marks > ${after}`), "after_it_hung");
    await several.do(h2, "switchover", "--to", "h1");
    await several.ready(h1);
    await isWhole(h1);
    await second.isExact(
      h1,
      await second.momentOf(h1, `marks BETWEEN ${before} AND ${after}`),
      "on_that_disk",
    );
    await isQuiet(h1, h2);
  }, 700_000);

  test("the repository's disk is missing on the primary's host: WAL waits for it, and nothing is begun in its place", async () => {
    const [h1, h2] = [lab.host("h1"), lab.host("h2")];
    const before = await second.count(h1);
    await disk.unmount();
    await several.value(h1, "SELECT pg_switch_wal()");
    await told(/^Any second: h1 cannot archive/m, h1, h2);
    await second.more(h1, 10);
    // Also where the agent begins anew meanwhile.
    h1.signal(AGENT, "SIGKILL");
    await h1.gone(AGENT);
    await several.do(h1, "up");
    await told(/^Any second: /m, h1);
    expect(await h1.do(["ls", "-A", `${DISK}/${REPOSITORY}`])).toBe("");
    const after = await second.count(h1);
    await disk.mount();
    await isWhole(h1);
    await second.isExact(
      h1,
      await second.momentOf(h1, `marks BETWEEN ${before} AND ${after}`),
      "while_missing",
    );
    await isQuiet(h1, h2);
  }, 700_000);

  test("a host whose repository's disk is missing becomes the primary: its WAL waits until the disk is back", async () => {
    const [h1, h2] = [lab.host("h1"), lab.host("h2")];
    await several.do(h1, "switchover", "--to", "h2");
    await several.ready(h1);
    await isWhole(h2);
    await disk.unmount();
    await told(/copy of the repository on h1 cannot be whole|h1 has no copy/, h2);
    const before = await second.count(h2);
    await several.do(h2, "switchover", "--to", "h1");
    await several.ready(h1);
    await told(/WAL is not taken into the repository of h1/, h1, h2);
    const after = await second.count(h1);
    await second.more(h1, 10);
    expect(await h1.do(["ls", "-A", `${DISK}/${REPOSITORY}`])).toBe("");
    await disk.mount();
    await isWhole(h1);
    await second.isExact(
      h1,
      await second.momentOf(h1, `marks BETWEEN ${before} AND ${after}`),
      "before_it_was_back",
    );
    await second.isExact(h1, await second.momentOf(h1, `marks > ${after}`), "with_nowhere_to_go");
    await isQuiet(h1, h2);
  }, 700_000);

  test("pgBackRest fails on a host, as a copy and as the primary: it is told, WAL waits, and nothing is lost", async () => {
    const [h1, h2] = [lab.host("h1"), lab.host("h2")];
    const broken = join(h2.folder, "broken");
    writeFileSync(
      broken,
      "#!/bin/sh\necho 'pgbackrest: error while loading shared libraries' >&2\nexit 127\n",
    );
    chmodSync(broken, 0o755);
    await h2.do(["mount", "--bind", `${DISK}/broken`, PGBACKREST]);
    // What it has found it does not look for again, until it is started anew.
    h2.signal(AGENT, "SIGKILL");
    await h2.gone(AGENT);
    await several.run(h2, "up");
    await told(/copy of the repository on h2 cannot be whole|h2 has no copy/, h1);
    const before = await second.count(h1);
    await several.do(h1, "switchover", "--to", "h2");
    await several.ready(h1);
    await told(/^Any second: WAL is not taken into the repository of h2|^Any second: h2 cannot/m, h1, h2);
    const after = await second.count(h2);
    await second.more(h2, 10);
    await h2.do(["umount", PGBACKREST]);
    await isWhole(h2);
    await second.isExact(
      h2,
      await second.momentOf(h2, `marks BETWEEN ${before} AND ${after}`),
      "before_the_program",
    );
    await second.isExact(h2, await second.momentOf(h2, `marks > ${after}`), "without_the_program");
    // It is gone from the primary's host while that archives.
    const gone = await second.count(h2);
    await h2.do(["mount", "--bind", `${DISK}/broken`, PGBACKREST]);
    await several.value(h2, "SELECT pg_switch_wal()");
    // PostgreSQL notes no failure of a command that does not start, so what waits tells.
    await told(/^Any second: h2 has \d+ finished WAL segments waiting/m, h1, h2);
    await second.more(h2, 5);
    const back = await second.count(h2);
    await h2.do(["umount", PGBACKREST]);
    await isWhole(h2);
    await second.isExact(
      h2,
      await second.momentOf(h2, `marks BETWEEN ${gone} AND ${back}`),
      "while_it_was_gone",
    );
    await isQuiet(h1, h2);
  }, 700_000);
});
