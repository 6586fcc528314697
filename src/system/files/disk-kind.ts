import * as fs from "node:fs/promises";
import path from "node:path";
import { kindOf } from "./files.ts";

/** What the system tells of a disk: `ssd` or `hdd`; undefined where it cannot be seen. */
export interface DiskKind {
  readonly kind: "ssd" | "hdd" | undefined;
  /** Name of the device, such as `nvme0n1`. */
  readonly device: string | undefined;
}

const UNSEEN: DiskKind = { kind: undefined, device: undefined };

/**
 * What makes a disk a virtual one, whose host does not say whether it rotates: Linux then takes for granted that it
 * does. By name of the device (virtio, Xen) or by what it says of itself.
 */
const VIRTUAL_NAME = /^(?:vd|xvd)[a-z]/;
const VIRTUAL_MODEL = /qemu|vbox|vmware|virtual|msft|google|persistentdisk|amazon/i;

/** The disk that a path, or its nearest existing parent, lies on. */
export async function diskKindOf(target: string): Promise<DiskKind> {
  let place = target;
  while ((await kindOf(place)) === undefined && place !== path.dirname(place)) place = path.dirname(place);
  const stat = await fs.stat(place, { bigint: true }).catch(() => undefined);
  if (stat === undefined) return UNSEEN;
  const device = deviceNumber(stat.dev);
  // btrfs and others have made-up numbers: their mount names the device.
  return await blockDeviceKind(device.startsWith("0:") ? await mountedDevice(device) : device);
}

/** As the kernel packs them (makedev(3)): `254:0`. */
function deviceNumber(packed: bigint): string {
  const major = ((packed >> 8n) & 0xfffn) | ((packed >> 32n) & 0xfffff000n);
  const minor = (packed & 0xffn) | ((packed >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

async function mountedDevice(device: string): Promise<string | undefined> {
  const mounts = await fs.readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  const line = mounts.split("\n").find((candidate) => candidate.split(" ")[2] === device);
  const source = line?.split(" - ")[1]?.split(" ")[1];
  if (!source?.startsWith("/dev/")) return undefined;
  const stat = await fs.stat(source, { bigint: true }).catch(() => undefined);
  return stat && deviceNumber(stat.rdev);
}

/**
 * What sysfs says of a block device (Linux, Documentation/ABI/stable/sysfs-block: queue/rotational).
 * @param root where /sys lies
 */
export async function blockDeviceKind(device: string | undefined, root = "/"): Promise<DiskKind> {
  if (device === undefined) return UNSEEN;
  const link = path.join(root, "sys/dev/block", device);
  const directory = await fs.realpath(link).catch(() => undefined);
  if (directory === undefined) return UNSEEN;
  // A partition has no queue of its own: its disk is the directory above.
  const own = (await kindOf(path.join(directory, "queue"))) === "directory";
  return await kindIn(own ? directory : path.dirname(directory));
}

async function kindIn(disk: string): Promise<DiskKind> {
  const read = async (name: string): Promise<string> =>
    (await fs.readFile(path.join(disk, name), "utf8").catch(() => "")).trim();
  const device = path.basename(disk);
  const rotational = await read("queue/rotational");
  if (rotational === "0") return { kind: "ssd", device };
  if (rotational !== "1") return { kind: undefined, device };
  // LVM, RAID and ciphered disks rotate when one of those below them does.
  const below = await fs.readdir(path.join(disk, "slaves")).catch(() => []);
  for (const name of below) {
    const real = await fs.realpath(path.join(disk, "slaves", name)).catch(() => undefined);
    const lower =
      real === undefined
        ? UNSEEN
        : await kindIn((await kindOf(path.join(real, "queue"))) ? real : path.dirname(real));
    if (lower.kind !== "ssd") return { kind: lower.kind, device };
  }
  if (below.length) return { kind: "ssd", device };
  const says = `${await read("device/vendor")} ${await read("device/model")}`;
  const virtual = VIRTUAL_NAME.test(device) || VIRTUAL_MODEL.test(says);
  return { kind: virtual ? undefined : "hdd", device };
}
