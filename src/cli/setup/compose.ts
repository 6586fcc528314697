import { nextStep, odooPg } from "../../next-step.ts";
import path from "node:path";
import { generatePassword } from "../../store/secrets.ts";
import { shellWord } from "../../shell-word.ts";
import { givenPasswordProblem } from "../../config/passwords.ts";
import {
  COMPOSE_HEAD,
  renderCompose,
  replicaNames,
  SECRET_FILES,
  SERVERS_USER,
  type ComposeOptions,
} from "../../container/compose.ts";
import { odooRoleName } from "../../container/contract.ts";
import { readEnvFile } from "../../container/env-file.ts";
import { renderOdooConf } from "../../container/odoo-conf-file.ts";
import { pgadminServers } from "../../container/pgadmin.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { odooOptions } from "../../odoo/conf.ts";
import { LEAST_CONNECTIONS } from "../../config/settings/advised.ts";
import { renderPassfile } from "../../postgres/render.ts";
import {
  ensureDirectory,
  kindOf,
  ownerOf,
  readTextIfAny,
  writeFileAtomic,
  writeFileIfChanged,
  type Owner,
} from "../../system/files/files.ts";
import type { Context } from "../context.ts";

/** Variables of an `.env` that give a password instead of a generated one. */
const GIVEN: Readonly<Record<keyof typeof SECRET_FILES, string>> = {
  odoo: "ODOO_PASSWORD",
  replicator: "REPLICATOR_PASSWORD",
  collectd: "COLLECTD_PASSWORD",
  pgadmin: "PGADMIN_PASSWORD",
  master: "ODOO_MASTER_PASSWORD",
};

/** Names under which a Compose program would read another file of the folder instead of ours. */
const OTHER_NAMES = ["docker-compose.yml", "docker-compose.yaml", "compose.yml"] as const;

/** Writes compose.yaml and the password files, or prints the former. A foreign file is never replaced. */
export async function compose(
  context: Context,
  flags: Omit<ComposeOptions, "replicas"> & {
    readonly replicas: string;
    readonly directory: string;
    readonly print: boolean;
  },
): Promise<ExitStatus> {
  const { output, invocation } = context;
  const replicas = /^\d{1,2}$/.test(flags.replicas) ? Number(flags.replicas) : undefined;
  if (replicas === undefined || replicas > 16)
    throw new OdooPgError("usage", { message: "--replicas wants a number from 0 to 16." });
  const options: ComposeOptions = { replicas, odoo: flags.odoo, pgadmin: flags.pgadmin };
  const text = renderCompose(options);
  if (flags.print) {
    output.out(text.trimEnd());
    return 0;
  }
  const directory = path.resolve(invocation.cwd, flags.directory);
  const file = path.join(directory, "compose.yaml");
  const present = await readTextIfAny(file);
  if (present !== undefined && !present.startsWith(COMPOSE_HEAD))
    throw notOurs(`${file} was not made by odoo-pg.`);
  for (const name of OTHER_NAMES) {
    if ((await kindOf(path.join(directory, name))) !== undefined)
      throw notOurs(`${directory} holds ${name} already: not every Compose would then use compose.yaml.`);
  }
  // An existing folder keeps its mode.
  const folder = await kindOf(directory);
  if (folder === undefined) await ensureDirectory(directory, { mode: 0o755 });
  else if (folder !== "directory") throw notOurs(`${directory} is not a folder.`);
  const changed = await writeFileIfChanged(file, text, { mode: 0o644 });
  const secrets = path.join(directory, "secrets");
  // Once they are there, the service setup keeps them.
  if ((await kindOf(secrets)) === undefined) await ensureSecrets(secrets, new Map(), undefined);
  output.err(`${changed ? "Written" : "Unchanged"}: ${file}; passwords are in ${secrets}.`);
  // Not by -f: Compose would leave compose.override.yaml out.
  const there = directory === path.resolve(invocation.cwd) ? "" : `cd ${shellWord(directory)} && `;
  output.err(`Start it: ${there}docker compose up -d`);
  return 0;
}

function notOurs(message: string): OdooPgError {
  return new OdooPgError("refused", {
    message,
    safe: "Nothing was written.",
    next: nextStep`Choose another folder (--directory), or print it: ${odooPg("compose", "--print")}`,
  });
}

/** Every password: the given one, else the one in its file, else a new one. Only their owner may read the files. */
async function ensureSecrets(
  directory: string,
  given: ReadonlyMap<string, string>,
  owner: Owner | undefined,
): Promise<Record<keyof typeof SECRET_FILES, string>> {
  const options = owner ? { owner } : {};
  await ensureDirectory(directory, { mode: 0o700, ...options });
  const ensure = async (name: keyof typeof SECRET_FILES): Promise<string> => {
    const file = path.join(directory, SECRET_FILES[name]);
    const kept = (await readTextIfAny(file))?.replace(/\r?\n$/, "");
    const password = given.get(GIVEN[name]) ?? (kept || generatePassword());
    const problem = givenPasswordProblem(password);
    if (problem !== undefined)
      throw new OdooPgError("config_invalid", { message: `${GIVEN[name]} or ${file}: ${problem}.` });
    const isOwned = owner === undefined || (await ownerOf(file))?.uid === owner.uid;
    if (password !== kept || !isOwned) await writeFileAtomic(file, `${password}\n`, options);
    return password;
  };
  return {
    odoo: await ensure("odoo"),
    replicator: await ensure("replicator"),
    collectd: await ensure("collectd"),
    pgadmin: await ensure("pgadmin"),
    master: await ensure("master"),
  };
}

/** The passwords that the `.env` of the project gives. @throws OdooPgError config_invalid */
async function givenPasswords(project: string): Promise<ReadonlyMap<string, string>> {
  const { values, ambiguous } = readEnvFile(
    (await readTextIfAny(path.join(project, ".env"))) ?? "",
    Object.values(GIVEN),
  );
  if (ambiguous.length === 0) return values;
  throw new OdooPgError("config_invalid", {
    message: `${ambiguous.join(", ")} in .env: a $ refers to another variable there, which cannot be resolved in a password.`,
    safe: "Nothing was changed.",
    next: "Write the password in single quotes: '…'",
  });
}

/** The user of pgAdmin's image (its documentation, "Container Deployment"). */
const PGADMIN_USER = { uid: 5050, gid: 5050 };

/**
 * The work of the service `setup`, before all others: it writes the passwords, Odoo's odoo.conf, and pgAdmin's files, each
 * readable only for the service that needs it. The folders are mounted below /setup.
 */
export async function containerSetup(context: Context): Promise<ExitStatus> {
  const { environment } = context.invocation;
  if (environment["POSTGRES_USER"] === "openerp") {
    throw new OdooPgError("config_invalid", {
      message: "ODOO_USER=openerp is not possible: openerp is the group that Odoo's role is a member of.",
      safe: "Nothing was changed.",
      next: "Leave ODOO_USER out of .env, or give Odoo's role another name.",
    });
  }
  const project = "/setup/project";
  const given = await givenPasswords(project);
  // The owner of the project's folder may read the passwords: the engine made the folder of secrets in it for root.
  const passwords = await ensureSecrets("/setup/secrets", given, await ownerOf(project));
  const role = odooRoleName(environment) ?? context.config.odoo.role;
  const config = { ...context.config, odoo: { ...context.config.odoo, role } };
  const servers = { owner: SERVERS_USER };
  await ensureDirectory("/setup/odoo", servers);
  const conf = renderOdooConf(await readTextIfAny("/setup/odoo/odoo.conf"), [
    ...odooOptions(config, "endpoints", passwords.odoo, LEAST_CONNECTIONS),
    {
      name: "admin_passwd",
      value: passwords.master,
      reason: "the master password, for the page that makes and drops databases; Odoo's own default is admin",
    },
    {
      name: "http_interface",
      value: "0.0.0.0",
      reason: "for anyone who reaches the container; without this Odoo 20 listens only inside it",
    },
    { name: "data_dir", value: "/var/lib/odoo", reason: "as in Odoo's own image" },
    { name: "addons_path", value: "/mnt/extra-addons", reason: "as in Odoo's own image" },
  ]);
  await writeFileIfChanged("/setup/odoo/odoo.conf", conf, servers);
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
