import { nextStep, odooPg, command, type NextText } from "../next-step.ts";
import { randomBytes } from "node:crypto";
import path from "node:path";
import type { Layout } from "../config/layout.ts";
import { passwordProblem } from "../config/passwords.ts";
import { OdooPgError } from "../errors.ts";
import type { RolePasswords } from "../odoo/roles.ts";
import { passfilePath, renderPassfile } from "../postgres/render.ts";
import { readTextIfAny, writeFileAtomic, writeFileIfChanged, type Owner } from "../system/files/files.ts";
import { readTextOfOthers } from "../system/files/held/by-path.ts";

/** Passwords that the configuration or the environment gives; those left out are generated once and kept. */
export interface GivenPasswords {
  readonly odoo?: string | undefined;
  readonly openerp?: string | undefined;
  readonly replicator?: string | undefined;
  readonly collectd?: string | undefined;
  /** Of the role by which a primary is followed that odoo-pg does not run. */
  readonly upstream?: string | undefined;
}

/** Whose password a file keeps: a role of the cluster, the role on a primary that odoo-pg does not run, or of the console. */
export type KeptPassword = keyof RolePasswords | "upstream" | "console_viewer" | "console_operator";

export function passwordFile(layout: Layout, role: KeptPassword): string {
  return path.join(layout.secretsDir, `${role}.password`);
}

/** 32 characters from 62: 190 bits, and nothing that a configuration file, shell or URL would have to quote. */
export function generatePassword(): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  let password = "";
  while (password.length < 32) {
    // Bytes from 248 on would make some characters likelier than others.
    for (const byte of randomBytes(48))
      if (byte < 248 && password.length < 32) password += alphabet[byte % 62];
  }
  return password;
}

/**
 * A role's password as it is kept, or undefined when it has none. A file that is there and holds none is damaged, as by a
 * full disk: it is never a value. The superuser's is read by src/postgres/sql/access/superuser.ts.
 * @throws OdooPgError state_dir_unusable
 */
export async function readPassword(
  layout: Layout,
  role: Exclude<KeptPassword, "postgres">,
): Promise<string | undefined> {
  return await kept(layout, role);
}

async function kept(layout: Layout, role: KeptPassword): Promise<string | undefined> {
  const file = passwordFile(layout, role);
  const password = (await readTextIfAny(file))?.replace(/\n$/, "");
  const problem = password === undefined ? undefined : passwordProblem(password);
  if (problem === undefined) return password;
  throw new OdooPgError("state_dir_unusable", {
    message: `${file} holds no password: ${problem}.`,
    safe: "Nothing was changed; the role keeps the password that it has.",
    next: wayOut(role, file),
  });
}

/**
 * The next step for a password file that cannot be used: a generated one is made again, a given one only its owner
 * knows.
 */
function wayOut(role: KeptPassword, file: string): NextText {
  const remove = nextStep`${command("rm", file)} && ${odooPg("up")}`;
  if (role === "upstream") return nextStep`Give its password again (SLAVEPASSWORD), then: ${odooPg("up")}`;
  if (role === "openerp")
    return nextStep`Put the file back from a copy. For a role that does not log in: ${remove}`;
  if (role === "odoo") {
    return nextStep`Put the file back from a copy: the password is in odoo.conf too. For a new one, which odoo.conf then needs: ${remove}`;
  }
  return nextStep`Create a new one: ${remove}`;
}

/**
 * Every role's password: the given one, else the kept one, else a new one. All are kept in files of mode 0600.
 * A kept one that changes stays in its file until the primary has the new one (`storePasswords`): an `up` that is
 * refused must not leave replicas with a password that the primary does not know. While another cluster's primary is
 * followed, as `upstreamUser`, ours are for later and stored at once.
 */
export async function ensurePasswords(
  layout: Layout,
  given: GivenPasswords,
  owner: Owner | undefined,
  upstreamUser?: string,
): Promise<RolePasswords> {
  const choose = async (role: KeptPassword, wanted: string | undefined): Promise<string> => {
    const present = await kept(layout, role);
    const password = wanted ?? present ?? generatePassword();
    if (present === undefined) await store(layout, role, password);
    return password;
  };
  const passwords = {
    postgres: await choose("postgres", undefined),
    replicator: await choose("replicator", given.replicator),
    odoo: await choose("odoo", given.odoo),
    collectd: await choose("collectd", given.collectd),
    // Given once, it stays: an `up` without the variable must not lock Odoo out.
    openerp: given.openerp ?? (await readPassword(layout, "openerp")),
  };
  if (given.upstream !== undefined) await store(layout, "upstream", given.upstream);
  if (upstreamUser === undefined) {
    const known = await readPassword(layout, "replicator");
    await writePassfile(layout, { replicator: known ?? passwords.replicator }, owner);
  } else {
    await storeAll(layout, passwords);
    const upstream = await readPassword(layout, "upstream");
    await writePassfile(layout, upstream === undefined ? {} : { [upstreamUser]: upstream }, owner);
  }
  return passwords;
}

/** The passwords of the console's roles, generated once. They are for who may give orders to the agent, not for the servers' user. */
export async function ensureConsolePasswords(
  layout: Layout,
): Promise<{ readonly viewer: string; readonly operator: string }> {
  const keptOrNew = async (role: "console_viewer" | "console_operator"): Promise<string> => {
    const present = await readPassword(layout, role);
    if (present !== undefined) return present;
    const password = generatePassword();
    await store(layout, role, password);
    return password;
  };
  return { viewer: await keptOrNew("console_viewer"), operator: await keptOrNew("console_operator") };
}

/** Keeps the passwords that the primary's roles have now, and gives the replicator's to the replicas. */
export async function storePasswords(
  layout: Layout,
  passwords: RolePasswords,
  owner: Owner | undefined,
): Promise<void> {
  await storeAll(layout, passwords);
  await writePassfile(layout, { replicator: passwords.replicator }, owner);
}

/** Keeps the secrets of a host without a database: the passwords of the monitoring role and of an Odoo there. */
export async function storeForClients(
  layout: Layout,
  { collectd, odoo }: { readonly collectd: string; readonly odoo: string | undefined },
): Promise<void> {
  await store(layout, "collectd", collectd);
  if (odoo !== undefined) await store(layout, "odoo", odoo);
}

async function storeAll(layout: Layout, passwords: RolePasswords): Promise<void> {
  for (const role of ["postgres", "replicator", "odoo", "collectd", "openerp"] as const) {
    const password = passwords[role];
    if (password !== undefined) await store(layout, role, password);
  }
}

async function store(layout: Layout, role: KeptPassword, password: string): Promise<void> {
  await writeFileIfChanged(passwordFile(layout, role), `${password}\n`);
}

/** The one file of passwords that the servers' user has: its server reads it to follow the primary. */
async function writePassfile(
  layout: Layout,
  passwords: Readonly<Record<string, string>>,
  owner: Owner | undefined,
): Promise<void> {
  const file = passfilePath(layout);
  const text = renderPassfile(passwords);
  // What it holds by now is compared, and believed in nothing.
  if ((await readTextOfOthers(file)) !== text) await writeFileAtomic(file, text, { owner });
}
