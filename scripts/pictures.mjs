// Takes the pictures of the documents from a real cluster: node scripts/pictures.mjs. They are in docs/pictures.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const { status } = spawnSync(process.execPath, ["scripts/test.mjs", "test/console/pictures"], {
  cwd: root,
  stdio: "inherit",
});
if (status !== 0) process.exit(status ?? 1);
const taken = `${root}test-output/console`;
mkdirSync(`${root}docs/pictures`, { recursive: true });
for (const name of readdirSync(taken).filter((file) => file.startsWith("docs-")))
  copyFileSync(`${taken}/${name}`, `${root}docs/pictures/${name.slice("docs-".length)}`);
