// The image under test, and its base: pulled where a registry answers, else made from Debian's packages.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { must, run } from "./engine.mjs";

export const root = fileURLToPath(new URL("../..", import.meta.url));
const BASE = "debian:trixie-slim";

async function has(image) {
  return (await run("docker", ["image", "inspect", image])).status === 0;
}

/** Makes sure that the base image is there; says how it came. @throws when it cannot be had */
export async function ensureBase() {
  if (await has(BASE)) return "present";
  if ((await run("docker", ["pull", "-q", BASE], { limit: 60_000 })).status === 0) return "pulled";
  if ((await run("debootstrap", ["--version"])).status !== 0) {
    throw new Error(`${BASE} cannot be pulled, and there is no debootstrap to make it with`);
  }
  const folder = mkdtempSync(path.join(tmpdir(), "odoo-pg-base-"));
  try {
    const tree = path.join(folder, "tree");
    await must("debootstrap", ["--variant=minbase", "trixie", tree, "http://deb.debian.org/debian"]);
    // As the slim images: no documents, no packages of the set-up.
    const excluded = ["usr/share/doc", "usr/share/man", "var/cache/apt/archives", "var/lib/apt/lists"];
    for (const part of excluded) rmSync(path.join(tree, part), { recursive: true, force: true });
    writeFileSync(
      path.join(tree, "etc/dpkg/dpkg.cfg.d/docker"),
      "path-exclude /usr/share/doc/*\npath-exclude /usr/share/man/*\n",
    );
    const archive = path.join(folder, "tree.tar");
    await must("tar", ["-C", tree, "-cf", archive, "."]);
    await must("docker", ["import", "-c", 'CMD ["bash"]', archive, BASE]);
    return "made from packages";
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Builds the program and the image. */
export async function buildImage(tag) {
  await must(process.execPath, ["scripts/build.mjs"], { cwd: root });
  await must("docker", ["build", "-q", "-f", "docker/Dockerfile", "-t", tag, "."], {
    cwd: root,
    limit: 900_000,
  });
}

/** An image of another id with the same content: what an upgrade looks like to the engine. */
export async function deriveImage(from, tag) {
  await must("docker", ["build", "-q", "-t", tag, "-"], { input: `FROM ${from}\nLABEL upgraded=yes\n` });
}
