// Tries the three losses of docs/recovery.md with copies in object storage: npm run test:azurite. Azurite, which serves
// Azure's blobs, is fetched from npm into the cache and sends no data to its makers; restic knows its port.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const VERSION = "3.37.0";
const root = fileURLToPath(new URL("..", import.meta.url));
const cache = path.join(root, "node_modules/.cache/odoo-pg", `azurite-${VERSION}`);
const program = path.join(cache, "node_modules/azurite/dist/src/blob/main.js");
if (!existsSync(program)) {
  mkdirSync(cache, { recursive: true });
  const quietly = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts"];
  execFileSync("npm", ["install", "--prefix", cache, ...quietly, `azurite@${VERSION}`], {
    stdio: "inherit",
  });
}
process.env["ODOO_PG_AZURITE"] = program;
process.argv.push("test/restore/losses.test.ts");
await import("./test.mjs");
