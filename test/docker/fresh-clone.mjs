// The README's two commands, as a newcomer runs them: only Node.js, npm and git are there.
import { must } from "./engine.mjs";
import { root } from "./images.mjs";

const SCRIPT = `
apt-get update -qq && apt-get install -y -qq --no-install-recommends nodejs npm git ca-certificates >/dev/null
git clone -q /origin /clone
cd /clone
npm start
npm test 2>&1 | tail -n 5
npx odoo-pg down`;

/** Resolves with the last lines of npm test. @throws when one of both fails */
export async function freshClone() {
  const said = await must(
    "docker",
    [
      "run",
      "--rm",
      "-v",
      `${root}:/origin:ro`,
      "debian:trixie-slim",
      "bash",
      "-eo",
      "pipefail",
      "-c",
      `git config --global --add safe.directory '*' 2>/dev/null || :; ${SCRIPT}`,
    ],
    { limit: 3_600_000 },
  );
  return said.split("\n").slice(-6).join(" | ");
}
