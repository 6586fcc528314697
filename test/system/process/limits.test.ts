import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { blockDeviceKind, diskKindOf } from "../../../src/system/files/disk-kind.ts";
import { capacityOf, controlGroupLimits } from "../../../src/system/process/limits.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const GB = 1024 ** 3;

/** A folder with these files, in the place of the root directory. */
function rootWith(files: Readonly<Record<string, string>>): string {
  const root = temporaryFolder();
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}

describe("the limits of control groups", () => {
  test("of version 2 are the lowest on the way up", async () => {
    const root = rootWith({
      "proc/self/cgroup": "0::/system.slice/odoo-pg.service\n",
      "proc/self/mountinfo":
        "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
      "sys/fs/cgroup/system.slice/memory.max": `${8 * GB}\n`,
      "sys/fs/cgroup/system.slice/cpu.max": "150000 100000\n",
      "sys/fs/cgroup/system.slice/odoo-pg.service/memory.max": "max\n",
      "sys/fs/cgroup/system.slice/odoo-pg.service/memory.high": `${6 * GB}\n`,
      "sys/fs/cgroup/system.slice/odoo-pg.service/cpu.max": "max 100000\n",
    });
    expect(await controlGroupLimits("self", root)).toEqual({ memoryBytes: 6 * GB, cpus: 1.5 });
  });

  test("of version 2 in a container are those of the mounted group", async () => {
    const root = rootWith({
      "proc/self/cgroup": "0::/\n",
      "proc/self/mountinfo": "31 23 0:28 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
      "sys/fs/cgroup/memory.max": `${2 * GB}\n`,
      "sys/fs/cgroup/cpu.max": "200000 100000\n",
    });
    expect(await controlGroupLimits("self", root)).toEqual({ memoryBytes: 2 * GB, cpus: 2 });
  });

  test("of version 1 are read by controller, also where the container's own group is what is mounted", async () => {
    const root = rootWith({
      "proc/7/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n",
      "proc/self/mountinfo":
        "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n36 31 0:33 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n",
      "sys/fs/cgroup/memory/memory.limit_in_bytes": `${4 * GB}\n`,
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    });
    expect(await controlGroupLimits(7, root)).toEqual({ memoryBytes: 4 * GB, cpus: 0.5 });
  });

  test("are none where nothing is limited, and where there are no control groups", async () => {
    const root = rootWith({
      "proc/self/cgroup": "0::/user.slice\n",
      "proc/self/mountinfo": "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
      "sys/fs/cgroup/user.slice/memory.max": "max\n",
      "sys/fs/cgroup/user.slice/cpu.max": "max 100000\n",
    });
    const none = { memoryBytes: undefined, cpus: undefined };
    expect(await controlGroupLimits("self", root)).toEqual(none);
    expect(await controlGroupLimits("self", temporaryFolder())).toEqual(none);
  });

  test("make no more of this machine than there is", async () => {
    const { memoryBytes, cpus } = await capacityOf("self");
    expect(memoryBytes).toBeGreaterThan(64 * 1024 ** 2);
    expect(cpus).toBeGreaterThan(0);
  });
});

describe("the kind of a disk", () => {
  /** Disks by path below /sys/devices, with device numbers that lead to them. */
  function disks(files: Readonly<Record<string, string>>, links: Readonly<Record<string, string>>): string {
    const root = rootWith(files);
    for (const [link, target] of Object.entries(links)) {
      mkdirSync(dirname(join(root, "sys", link)), { recursive: true });
      symlinkSync(join(root, "sys", target), join(root, "sys", link));
    }
    return root;
  }

  test("is what its queue says, for a partition what that of its disk says", async () => {
    const root = disks(
      {
        "sys/devices/nvme/nvme0n1/queue/rotational": "0\n",
        "sys/devices/nvme/nvme0n1/nvme0n1p2/partition": "2\n",
        "sys/devices/ata/sda/queue/rotational": "1\n",
        "sys/devices/ata/sda/device/model": "WDC WD40EFRX\n",
      },
      {
        "dev/block/259:2": "devices/nvme/nvme0n1/nvme0n1p2",
        "dev/block/8:0": "devices/ata/sda",
      },
    );
    expect(await blockDeviceKind("259:2", root)).toEqual({ kind: "ssd", device: "nvme0n1" });
    expect(await blockDeviceKind("8:0", root)).toEqual({ kind: "hdd", device: "sda" });
  });

  test("is not known of a virtual disk that is said to rotate: nobody told its guest", async () => {
    const root = disks(
      {
        "sys/devices/virtio/vda/queue/rotational": "1\n",
        "sys/devices/scsi/sdb/queue/rotational": "1\n",
        "sys/devices/scsi/sdb/device/vendor": "QEMU    \n",
        "sys/devices/scsi/sdb/device/model": "QEMU HARDDISK   \n",
      },
      { "dev/block/254:0": "devices/virtio/vda", "dev/block/8:16": "devices/scsi/sdb" },
    );
    expect(await blockDeviceKind("254:0", root)).toEqual({ kind: undefined, device: "vda" });
    expect(await blockDeviceKind("8:16", root)).toEqual({ kind: undefined, device: "sdb" });
  });

  test("of a volume is that of the disks below it", async () => {
    const root = disks(
      {
        "sys/devices/virtual/dm-0/queue/rotational": "1\n",
        "sys/devices/ata/sda/queue/rotational": "1\n",
        "sys/devices/ata/sda/sda3/partition": "3\n",
      },
      {
        "dev/block/253:0": "devices/virtual/dm-0",
        "devices/virtual/dm-0/slaves/sda3": "devices/ata/sda/sda3",
      },
    );
    expect(await blockDeviceKind("253:0", root)).toEqual({ kind: "hdd", device: "dm-0" });
  });

  test("is not known where nothing is told, and asking is never an error", async () => {
    expect(await blockDeviceKind("1:2", temporaryFolder())).toEqual({ kind: undefined, device: undefined });
    expect(["ssd", "hdd", undefined]).toContain((await diskKindOf("/nowhere/at/all")).kind);
  });
});
