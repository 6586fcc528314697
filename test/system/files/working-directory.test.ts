import { spawn } from "node:child_process";
import { chownSync, copyFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { execa } from "execa";
import { expect, test } from "vitest";
import { processesWorkingIn } from "../../../src/system/files/working-directory.ts";
import { serverOwner } from "../../postgres/throwaway-node.ts";
import { atEnd } from "../../support/scope.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait.ts";

const source = fileURLToPath(new URL("../../../src/system/files/working-directory.ts", import.meta.url));
const owner = await serverOwner();

/** A folder of the server's user, in which a program of a name of its own works. */
async function workplace(): Promise<{ folder: string; name: string; pid: number }> {
  const folder = realpathSync(temporaryFolder());
  const name = "opg_works";
  copyFileSync("/bin/sleep", join(folder, name));
  if (owner) chownSync(folder, owner.uid, owner.gid);
  const child = spawn(join(folder, name), ["60"], { cwd: folder, stdio: "ignore", ...owner });
  atEnd(() => void child.kill("SIGKILL"));
  const pid = child.pid ?? 0;
  await waitFor("it works", async () => (await processesWorkingIn(folder, name))?.includes(pid) === true);
  return { folder, name, pid };
}

test("processes are found by their program and the directory that they work in", async () => {
  const { folder, name, pid } = await workplace();
  expect(await processesWorkingIn(folder, name)).toEqual([pid]);
  expect(await processesWorkingIn(folder, "sleep")).toEqual([]);
  expect(await processesWorkingIn(join(folder, ".."), name)).toEqual([]);
});

test("processes are found too by a root who may not look at those of others, as in a container", async () => {
  const { folder, name, pid } = await workplace();
  const outfile = join(temporaryFolder(), "look.mjs");
  await build({
    stdin: {
      contents: `import { readlinkSync } from "node:fs";
        import { processesWorkingIn, workingDirectory } from ${JSON.stringify(source)};
        const found = await processesWorkingIn(${JSON.stringify(folder)}, ${JSON.stringify(name)});
        const cwd = () => { try { return readlinkSync("/proc/${pid}/cwd") } catch { return "hidden" } };
        console.log(JSON.stringify({ found, place: await workingDirectory(${pid}), cwd: cwd() }));`,
      resolveDir: fileURLToPath(new URL(".", import.meta.url)),
    },
    bundle: true,
    platform: "node",
    format: "esm",
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    outfile,
    logLevel: "silent",
  });
  // What is not bounded comes back to root with each program that it starts (capabilities(7)).
  const { stdout } = owner
    ? await execa("setpriv", ["--bounding-set=-sys_ptrace", process.execPath, outfile])
    : await execa(process.execPath, [outfile]);
  expect(JSON.parse(stdout)).toEqual({
    found: [pid],
    place: folder,
    // What keeps this from being the same as above.
    cwd: owner ? "hidden" : folder,
  });
});
