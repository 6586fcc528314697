import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { findInPath, missingPrograms } from "./missing-programs.mjs";
import { runPhase } from "./phase.mjs";
import { SetupError } from "./setup-error.mjs";

const clusterConfiguration = "/etc/postgresql-common/createcluster.conf";

/**
 * Installs programs through apt where that is there and allowed.
 * @param {readonly string[]} missing as missingPrograms() returns them
 */
export async function installPrograms(missing) {
  const asRoot = findInPath("apt-get") === undefined ? undefined : commandPrefixForRoot();
  if (asRoot === undefined) throw notAllowed(missing);

  const packages = missing.flatMap((name) => (name === "postgresql" ? [name, "postgresql-client"] : [name]));
  console.error(`Missing: ${missing.join(", ")}. Installing through apt-get: ${packages.join(" ")}.`);
  if (missing.includes("postgresql") && !existsSync(clusterConfiguration)) {
    // Debian's package would start a server of its own on port 5432.
    await runPhase(`Writing ${clusterConfiguration}: Debian's package makes no cluster of its own.`, [
      ...asRoot,
      "sh",
      "-c",
      `mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' > ${clusterConfiguration}`,
    ]);
  }
  // Debian's packages would start services of their own, now and at every start of the machine.
  const services = existsSync("/run/systemd/system") ? servicesOf(missing) : [];
  for (const service of services)
    await runPhase(`Masking ${service}: only its program is used. Undo: systemctl unmask ${service}`, [
      ...asRoot,
      "systemctl",
      "mask",
      service,
    ]);
  const byHand = installAdvice(missing);
  const apt = [
    ...asRoot,
    "env",
    "DEBIAN_FRONTEND=noninteractive",
    "UCF_FORCE_CONFFOLD=1", // Keeps the file that was just written.
    "apt-get",
    "-o",
    "DPkg::Lock::Timeout=300", // A new machine often updates itself in its first minutes.
  ];
  await runPhase("Reading the package lists (apt-get update) …", [...apt, "update"], { next: byHand });
  await runPhase(
    `Installing ${packages.join(", ")} …`,
    [...apt, "install", "-y", "--no-install-recommends", ...packages],
    { next: byHand },
  );
  const still = missingPrograms();
  if (still.length > 0) {
    throw new SetupError(
      `After the installation these are still missing or too old: ${still.join(", ")}.\n` +
        "PostgreSQL must be version 13 or later: https://www.postgresql.org/download/",
      69,
    );
  }
}

/** @param {readonly string[]} missing */
function servicesOf(missing) {
  const services = {
    prometheus: "prometheus.service",
    pgbouncer: "pgbouncer.service",
    "collectd-core": "collectd.service",
    "openssh-server": "ssh.service",
  };
  return Object.entries(services).flatMap(([name, service]) => (missing.includes(name) ? [service] : []));
}

/** What to put before a command so that it runs as root, or undefined when that is not allowed without a password. */
function commandPrefixForRoot() {
  if (process.getuid?.() === 0) return [];
  try {
    execFileSync("sudo", ["-n", "true"], { stdio: "ignore" });
    return ["sudo", "-n"];
  } catch {
    return undefined;
  }
}

/** @param {readonly string[]} missing */
function notAllowed(missing) {
  return new SetupError(
    `Missing: ${missing.join(", ")}. ${installAdvice(missing)}\nThen run the same command again.`,
    69,
  );
}

/** @param {readonly string[]} missing */
function installAdvice(missing) {
  if (process.platform === "darwin") {
    const formulas = missing.map((name) => (name === "postgresql" ? "postgresql@17" : name));
    return `Install with this command:\n  brew install ${formulas.join(" ")}`;
  }
  if (findInPath("apt-get") !== undefined) {
    return `Install with this command:\n  sudo apt-get update && sudo apt-get install -y ${missing.join(" ")}`;
  }
  return "Install them with the package manager of your system: PostgreSQL 13 or later (server, client and contrib), HAProxy 2.4 or later, openssl.";
}
