import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { lackingRoom } from "../../src/offsite/fetch.ts";
import { throwawayCluster, type ThrowawayCluster } from "../support/cluster.ts";
import { makeOdooDatabase } from "../support/odoo-database.ts";
import { mayMount, smallDisk } from "../support/small-disk.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

async function host(elsewhere: string, dir: string | undefined): Promise<ThrowawayCluster> {
  const cluster = await throwawayCluster({ nodes: 1 });
  const filestore = join(cluster.folder, "filestore");
  mkdirSync(filestore, { mode: 0o755 });
  const offsite = {
    name: "nas",
    repository: join(elsewhere, "copies"),
    passphrase_file: join(elsewhere, "passphrase"),
    schedule: "off",
  };
  cluster.configure({
    odoo: { filestore },
    backup: { offsite: [offsite], ...(dir === undefined ? {} : { dir }) },
  });
  return cluster;
}

test.runIf(mayMount)(
  "a copy is fetched to where a disk of its own is mounted, as far as that has room; a fetch that is repeated goes on",
  async () => {
    const elsewhere = temporaryFolder();
    writeFileSync(join(elsewhere, "passphrase"), "of a test\n", { mode: 0o600 });
    const cluster = await host(elsewhere, undefined);
    await cluster.up();
    const filestore = join(cluster.folder, "filestore");
    await makeOdooDatabase({ superuser: cluster.superuser(), database: "shop", filestore });
    expect((await cluster.run(["backup", "create", "shop"])).exitCode).toBe(0);
    const backups = `${cluster.stateDir}.backups`;
    const all = readdirSync(backups).sort();
    expect((await cluster.run(["backup", "copy"])).exitCode).toBe(0);
    await cluster.down();
    rmSync(backups, { recursive: true });

    const disk = smallDisk(64, undefined);
    mkdirSync(join(disk, "lost+found"));
    const other = await host(elsewhere, disk);
    // A file that lies there is nobody's to remove.
    writeFileSync(join(disk, "foreign"), "");
    const refused = await other.run(["backup", "fetch", "--from", "nas"]);
    expect([refused.exitCode, refused.stderr]).toEqual([1, expect.stringContaining("is not empty")]);
    rmSync(join(disk, "foreign"));
    const device = statSync(disk).dev;
    const fetched = await other.run(["backup", "fetch", "--from", "nas"]);
    expect([fetched.exitCode, fetched.stdout + fetched.stderr]).toEqual([
      0,
      expect.stringContaining("Fetched the backups"),
    ]);
    expect(readdirSync(disk).sort()).toEqual([...all, "lost+found"].sort());
    expect(statSync(disk).dev).toBe(device);
    expect(existsSync(`${disk}.fetched`)).toBe(false);
    const again = await other.run(["backup", "fetch", "--from", "nas"]);
    expect(again.exitCode).toBe(0);
    const { stdout } = await other.run(["backup", "list", "--json"]);
    expect(stdout).toContain("shop");
  },
);

test("a disk has room for all that is fetched to it, whatever other disks have", () => {
  const backups = { folder: "/backups", device: 1, bytes: 60, free: 100 };
  const repository = { folder: "/repository", device: 2, bytes: 50, free: 50 };
  expect(lackingRoom([backups, repository])).toBeUndefined();
  expect(lackingRoom([backups, { ...repository, free: 49 }])).toMatchObject({ folder: "/repository" });
  const beside = { ...repository, device: 1, free: 100 };
  expect(lackingRoom([backups, beside])).toMatchObject({ bytes: 110 });
});
