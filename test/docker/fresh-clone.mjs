// The README's two commands, as a newcomer runs them: only Node.js, npm and git are there.
import { existsSync } from "node:fs";
import { must } from "./engine.mjs";
import { root } from "./images.mjs";

const SCRIPT = `
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq && apt-get install -y -qq --no-install-recommends nodejs npm git ca-certificates >/dev/null
git config --global --add safe.directory '*'
git clone -q /origin /clone
cd /clone
npm start
npm test >/tmp/npm-test.log 2>&1 || { { grep -a FAIL /tmp/npm-test.log; tail -n 5 /tmp/npm-test.log; } >&2; exit 1; }
tail -n 5 /tmp/npm-test.log
npx odoo-pg down`;

/** What this machine trusts, the container trusts too: the registry of packages may be a mirror with an authority of its own. */
const TRUSTED = "/etc/ssl/certs/ca-certificates.crt";
const trust = existsSync(TRUSTED)
  ? ["-v", `${TRUSTED}:/etc/ssl/certs/host.crt:ro`, "-e", "NODE_EXTRA_CA_CERTS=/etc/ssl/certs/host.crt"]
  : [];

/** Resolves with the last lines of npm test. @throws when one of both fails */
export async function freshClone() {
  const said = await must(
    "docker",
    [
      "run",
      "--rm",
      "--init",
      ...trust,
      "-v",
      `${root}:/origin:ro`,
      "debian:trixie-slim",
      "bash",
      "-eo",
      "pipefail",
      "-c",
      SCRIPT,
    ],
    { limit: 3_600_000 },
  );
  return said.split("\n").slice(-6).join(" | ");
}
