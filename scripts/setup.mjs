// Installs what is missing: npm packages, the built program, PostgreSQL, HAProxy, openssl; with --browser, Chromium;
// with --tests, Prometheus, unzip, zstd, PgBouncer and psycopg2; with --hosts, Patroni and etcd of Debian 13 beside the
// system, and what they and hosts of network namespaces need. Silent when nothing is missing. This file keeps to syntax
// that old versions of Node can read.
const needed = [20, 19];
const have = process.versions.node.split(".").map(Number);

if (have[0] > needed[0] || (have[0] === needed[0] && have[1] >= needed[1])) {
  void import("./setup/set-up.mjs").then((module) => module.setUp());
} else {
  console.error(
    "odoo-pg needs Node.js " +
      needed.join(".") +
      " or later; this is " +
      process.version +
      " (" +
      process.execPath +
      ").\n" +
      "Install a newer one (https://nodejs.org/en/download), then run the same command again.",
  );
  process.exitCode = 69;
}
