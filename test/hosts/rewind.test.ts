import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { isKept, renderRewind, rewoundFolder } from "../../src/hosts/render/rewind.ts";
import { waitFor } from "../support/wait.ts";
import { DISK, type Host } from "./lab/host.ts";
import { describeOnHosts, makeLab } from "./on-hosts.ts";

/** Stands for pg_rewind: it changes a file of the data, or fails before that as often as it is told. */
const STAND_IN = `#!/bin/sh
[ "$1" = --help ] && exit 0
echo half > ${DISK}/small/data/base
[ -e ${DISK}/fails ] && exit 3
echo rewound > ${DISK}/small/data/base
`;

describeOnHosts("before an old primary is rewound", () => {
  let host: Host;
  const data = `${DISK}/small/data`;
  const kept = rewoundFolder(data);

  beforeEach(async () => {
    const lab = await makeLab("h1");
    host = lab.host("h1");
    const program = `${DISK}/rewind`;
    const files = { rewind: STAND_IN, keeper: renderRewind({ dataDir: data, kept, program }) };
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(join(host.folder, name), text);
      chmodSync(join(host.folder, name), 0o755);
    }
    mkdirSync(join(host.folder, "small"));
  });

  /** Its data lies on a disk of its own, of so many megabytes. */
  async function disk(megabytes: number): Promise<void> {
    const make = [
      `mount -t tmpfs -o size=${megabytes}m tmpfs ${DISK}/small`,
      `mkdir -p ${data}/pg_wal ${data}/global ${data}/pg_tblspc ${kept} ${DISK}/place`,
      `cd ${data} && echo 15 > PG_VERSION && echo diverged > base && echo record > pg_wal/0001`,
      `echo control > global/pg_control && head -c 4M /dev/zero > large`,
      `echo far > ${DISK}/place/rows && ln -s ${DISK}/place pg_tblspc/16400`,
    ];
    await host.do(["sh", "-c", make.join(" && ")]);
  }

  const rewind = async (argument = "-D") => await host.run([`${DISK}/keeper`, argument, data]);
  const read = async (file: string): Promise<string> => await host.do(["cat", file]);
  const copies = async (): Promise<string[]> =>
    (await host.do(["ls", kept])).split("\n").filter((name) => name !== "" && isKept(name));

  test("its data is kept aside as it was, with what lies elsewhere", async () => {
    await disk(32);
    expect((await rewind()).exitCode).toBe(0);
    expect(await read(`${data}/base`)).toBe("rewound");
    const [copy = ""] = await copies();
    expect(await read(`${kept}/${copy}/base`)).toBe("diverged");
    expect(await read(`${kept}/${copy}/pg_tblspc/16400/rows`)).toBe("far");
    expect(await host.run(["test", "-L", `${kept}/${copy}/pg_tblspc/16400`])).toMatchObject({ exitCode: 1 });
  });

  test("a rewind that was cut off goes on, and what is half rewound is not taken for what was there", async () => {
    await disk(32);
    writeFileSync(join(host.folder, "fails"), "");
    expect((await rewind()).exitCode).toBe(3);
    await host.do(["rm", `${DISK}/fails`]);
    expect((await rewind()).exitCode).toBe(0);
    expect(await copies()).toHaveLength(1);
    expect(await read(`${kept}/${(await copies())[0] ?? ""}/base`)).toBe("diverged");
    // The next time is another one.
    await host.do(["sleep", "1.1"]);
    expect((await rewind()).exitCode).toBe(0);
    expect(await copies()).toHaveLength(2);
  });

  test("data that was put in the place of what a rewind failed on is kept too before it is rewound", async () => {
    await disk(32);
    writeFileSync(join(host.folder, "fails"), "");
    expect((await rewind()).exitCode).toBe(3);
    await host.do(["rm", `${DISK}/fails`]);
    const reseed = `cp -a ${data} ${data}.new && mv ${data} ${data}.aside && mv ${data}.new ${data}`;
    await host.do(["sh", "-c", `sleep 1.1; ${reseed} && rm -rf ${data}.aside && echo fresh > ${data}/base`]);
    expect((await rewind()).exitCode).toBe(0);
    const kinds = (await copies()).map(async (copy) => await read(`${kept}/${copy}/base`));
    expect(await Promise.all(kinds)).toEqual(["diverged", "fresh"]);
  });

  test("where there is no room for all of it, the WAL is kept, which holds what is taken back", async () => {
    await disk(7);
    const ran = await rewind();
    expect(ran).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("WAL alone") });
    expect(await read(`${data}/base`)).toBe("rewound");
    const [copy = ""] = await copies();
    expect(await read(`${kept}/${copy}/pg_wal/0001`)).toBe("record");
    expect((await host.do(["ls", `${kept}/${copy}`])).split("\n").toSorted()).toEqual(["global", "pg_wal"]);
  });

  test("where there is no room for that either nothing is rewound, and nothing half is left, until there is", async () => {
    await disk(7);
    await host.do(["sh", "-c", `head -c 2M /dev/zero > ${data}/pg_wal/0002`]);
    const rewinding = rewind();
    await waitFor("it to wait", async () => (await host.do(["ls", kept])).includes("waits"));
    expect(await read(`${data}/base`)).toBe("diverged");
    expect((await host.do(["ls", kept])).split("\n").toSorted()).toEqual(["lock", "waits"]);
    await host.do(["rm", `${data}/large`]);
    expect((await rewinding).exitCode).toBe(0);
    expect(await read(`${data}/base`)).toBe("rewound");
    expect(await copies()).toHaveLength(1);
  });

  test("one whose Patroni is gone meanwhile changes nothing any more", async () => {
    await disk(7);
    await host.do(["sh", "-c", `head -c 2M /dev/zero > ${data}/pg_wal/0002`]);
    host.start("patroni", ["sh", "-c", `${DISK}/keeper -D ${data}; true`]);
    await waitFor("it to wait", async () => (await host.do(["ls", kept])).includes("waits"));
    host.signal(/^sh -c .*keeper/, "SIGKILL");
    await host.do(["rm", `${data}/large`]);
    await host.gone(/keeper/);
    expect(await read(`${data}/base`)).toBe("diverged");
  });

  test("Patroni's question whether there is a pg_rewind keeps nothing", async () => {
    await disk(32);
    expect((await rewind("--help")).exitCode).toBe(0);
    expect(await copies()).toEqual([]);
  });
});
