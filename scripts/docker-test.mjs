// Builds the image and tries it in a Docker engine: npm run test:docker [-- WORDS], where WORDS choose scenarios by
// name; `fresh-clone`, `hosts` and `figures` (which measures) run only when they are named. Without an engine it says
// why nothing was tried.
import { Containers } from "../test/docker/containers.mjs";
import { composeScenarios, Project } from "../test/docker/compose.mjs";
import { findCompose, findEngine, installForIntegration } from "../test/docker/engine.mjs";
import { figures } from "../test/docker/figures.mjs";
import { freshClone } from "../test/docker/fresh-clone.mjs";
import { HostsProject, hostsScenarios } from "../test/docker/hosts.mjs";
import { buildImage, ensureBase } from "../test/docker/images.mjs";
import { singleScenarios } from "../test/docker/single.mjs";

const IMAGE = "odoo-pg:test";
const words = process.argv.slice(2);
const installed = await installForIntegration();
if (installed.length) console.log(`installed ${installed.join(", ")}`);
const engine = await findEngine();
/** After an interruption the present scenario runs to its end: then everything that was started is cleared away. */
const interruption = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => interruption.abort());
let passed = 0;
let failed = 0;

/** Like the other tests: in continuous integration a failure gets one retry, which is reported. */
const TRIES = process.env.CI === "true" ? 2 : 1;

async function attempt(name, act) {
  for (let left = TRIES; left > 0 && !interruption.signal.aborted; left -= 1) {
    const begun = performance.now();
    const took = () => `(${((performance.now() - begun) / 1000).toFixed(1)} s)`;
    try {
      const said = await act();
      passed += 1;
      console.log(`ok      ${name} ${took()}${typeof said === "string" ? `: ${said}` : ""}`);
      return true;
    } catch (error) {
      const words = String(error?.stack ?? error).replaceAll("\n", "\n        ");
      console.log(
        `${left > 1 && !interruption.signal.aborted ? "again   " : "FAILED  "}${name} ${took()}\n        ${words}`,
      );
    }
  }
  failed += 1;
  return false;
}

/** One after another; a scenario that depends on earlier ones is skipped when one of them failed. */
async function inTurn(scenarios, dependent) {
  for (const [name, act] of scenarios) {
    if (!dependent && words.length && !words.some((word) => name.includes(word))) continue;
    if (!(await attempt(name, act)) && dependent) return;
  }
}

async function everything() {
  if (!(await attempt("the base image is there", ensureBase))) return;
  if (words.includes("fresh-clone")) {
    await attempt("a fresh clone in a container of the base image: npm start, npm test", freshClone);
    if (words.length === 1) return;
  }
  if (!(await attempt("the image is built", async () => await buildImage(IMAGE)))) return;
  if (words.includes("hosts")) {
    await hosts();
    if (words.length === 1) return;
  }
  // They share nothing but the image, and mostly wait for their containers.
  await Promise.all([single(), ...(words.length === 0 || words.includes("compose") ? [compose()] : [])]);
}

/** The behaviour of one container, and the figures that it measures when that is named. */
async function single() {
  const containers = new Containers(IMAGE);
  try {
    if (!words.includes("compose")) await inTurn(singleScenarios(containers), false);
    if (words.includes("figures")) await attempt("figures", async () => await figures(containers));
  } finally {
    await containers.clear();
  }
}

async function compose() {
  const command = await findCompose();
  if (!command)
    return console.log("skipped the compose recipe: neither docker compose nor docker-compose is here");
  const project = new Project(command, IMAGE);
  try {
    await inTurn(composeScenarios(project), true);
  } finally {
    await project.clear();
  }
}

/** The example of three hosts, as on a laptop. */
async function hosts() {
  const command = await findCompose();
  if (!command)
    return console.log("skipped the example of hosts: neither docker compose nor docker-compose is here");
  const project = new HostsProject(command, IMAGE);
  try {
    await inTurn(hostsScenarios(project), true);
  } finally {
    await project.clear();
  }
}

if (engine.reason) console.log(`skipped everything: ${engine.reason}`);
else {
  // In every case, what was started here is ended.
  try {
    await everything();
  } finally {
    await engine.stop();
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
