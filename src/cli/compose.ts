import path from "node:path";
import { generatePassword } from "../agent/secrets.ts";
import type { Environment } from "../config/environment.ts";
import { passwordProblem } from "../config/passwords.ts";
import {
  COMPOSE_HEAD,
  renderCompose,
  replicaNames,
  SECRET_FILES,
  SERVERS_USER,
  type ComposeOptions,
} from "../container/compose.ts";
import { odooRoleName } from "../container/contract.ts";
import { pgadminServers } from "../container/pgadmin.ts";
import { OdooPgError, type ExitStatus } from "../errors.ts";
import { odooOptions } from "../odoo/conf.ts";
import { DEFAULT_MAX_CONNECTIONS, renderPassfile } from "../postgres/render.ts";
import { ensureDirectory, readTextIfAny, writeFileIfChanged } from "../system/files.ts";
import type { Context } from "./context.ts";

/** Variables that give a password in the place of a generated one, as in an `.env`. */
const GIVEN: Readonly<Record<keyof typeof SECRET_FILES, string>> = {
  odoo: "ODOO_PASSWORD",
  replicator: "REPLICATOR_PASSWORD",
  collectd: "COLLECTD_PASSWORD",
  pgadmin: "PGADMIN_PASSWORD",
};

/** Writes compose.yaml and the passwords' files, or prints the former. A file of somebody else's is never replaced. */
export async function compose(
  context: Context,
  options: ComposeOptions & { readonly directory: string; readonly print: boolean },
): Promise<ExitStatus> {
  const { output, invocation } = context;
  if (!Number.isInteger(options.replicas) || options.replicas < 0 || options.replicas > 16) {
    throw new OdooPgError("usage", { message: "--replicas wants a number from 0 to 16." });
  }
  const text = renderCompose(options);
  if (options.print) {
    output.out(text.trimEnd());
    return 0;
  }
  const directory = path.resolve(invocation.cwd, options.directory);
  const file = path.join(directory, "compose.yaml");
  const present = await readTextIfAny(file);
  if (present !== undefined && !present.startsWith(COMPOSE_HEAD)) {
    throw new OdooPgError("refused", {
      message: `${file} was not made by odoo-pg.`,
      safe: "Nothing was written.",
      next: "Choose another folder (--directory), or print it: odoo-pg compose --print",
    });
  }
  await ensureDirectory(directory, { mode: 0o755 });
  const changed = await writeFileIfChanged(file, text, { mode: 0o644 });
  await ensureSecrets(path.join(directory, "secrets"), {});
  output.err(`${changed ? "Written" : "Unchanged"}: ${file}; passwords are in ${directory}/secrets.`);
  output.err(`Start it: docker compose -f ${file} up -d`);
  return 0;
}

/** Every password: the given one, else the one in its file, else a new one. */
async function ensureSecrets(
  directory: string,
  given: Environment,
): Promise<Record<keyof typeof SECRET_FILES, string>> {
  await ensureDirectory(directory, { mode: 0o700 });
  const ensure = async (name: keyof typeof SECRET_FILES): Promise<string> => {
    const file = path.join(directory, SECRET_FILES[name]);
    const kept = (await readTextIfAny(file))?.replace(/\r?\n$/, "");
    const password = given[GIVEN[name]] || kept || generatePassword();
    const problem = passwordProblem(password);
    if (problem !== undefined)
      throw new OdooPgError("config_invalid", { message: `${GIVEN[name]} or ${file}: ${problem}.` });
    if (password !== kept) await writeFileIfChanged(file, `${password}\n`);
    return password;
  };
  return {
    odoo: await ensure("odoo"),
    replicator: await ensure("replicator"),
    collectd: await ensure("collectd"),
    pgadmin: await ensure("pgadmin"),
  };
}

/** The user of pgAdmin's image (its documentation, "Container Deployment"). */
const PGADMIN_USER = { uid: 5050, gid: 5050 };

/**
 * What the service `setup` does before all others: the passwords, Odoo's odoo.conf, and pgAdmin's files, each readable
 * for its reader alone. The folders are mounted below /setup.
 */
export async function containerSetup(context: Context): Promise<ExitStatus> {
  const { environment } = context.invocation;
  const passwords = await ensureSecrets("/setup/secrets", environment);
  const role = odooRoleName(environment) ?? context.config.odoo.role;
  const config = { ...context.config, odoo: { ...context.config.odoo, role } };
  const lines = [
    "[options]",
    ...odooOptions(config, "endpoints", passwords.odoo, DEFAULT_MAX_CONNECTIONS).flatMap(
      ({ name, value, reason }) => [`; ${reason}`, `${name} = ${value}`],
    ),
    "; as in Odoo's own image",
    "data_dir = /var/lib/odoo",
    "addons_path = /mnt/extra-addons",
  ];
  const servers = { owner: SERVERS_USER };
  await ensureDirectory("/setup/odoo", servers);
  await writeFileIfChanged("/setup/odoo/odoo.conf", `${lines.join("\n")}\n`, servers);
  // Not empty, so that the engine does not fill it from Odoo's image and give it to the user there.
  await ensureDirectory("/setup/odoo-data", { mode: 0o755, ...servers });
  await ensureDirectory("/setup/odoo-data/filestore", { mode: 0o755, ...servers });
  const hosts = ["primary", ...replicaNames(Number(environment["REPLICAS"] ?? 1))];
  const owner = PGADMIN_USER;
  await ensureDirectory("/setup/pgadmin", { mode: 0o700, owner });
  await writeFileIfChanged("/setup/pgadmin/password", passwords.pgadmin, { owner });
  await writeFileIfChanged("/setup/pgadmin/servers.json", pgadminServers(hosts, role), { owner });
  await writeFileIfChanged("/setup/pgadmin/pgpass", renderPassfile({ [role]: passwords.odoo }), { owner });
  context.output.err("Passwords, odoo.conf and pgAdmin's files are in place.");
  return 0;
}
