import { randomBytes } from "node:crypto";
import path from "node:path";
import type { Layout } from "../cluster/layout.ts";
import type { RolePasswords } from "../odoo/roles.ts";
import { passfilePath, renderPassfile } from "../postgres/render.ts";
import { readTextIfAny, writeFileIfChanged, type Owner } from "../system/files.ts";

/** Passwords that the configuration or the environment gives; those left out are generated once and kept. */
export interface GivenPasswords {
  readonly odoo?: string | undefined;
  readonly openerp?: string | undefined;
  readonly replicator?: string | undefined;
  readonly collectd?: string | undefined;
  /** Of the role by which a primary is followed that odoo-pg does not run. */
  readonly upstream?: string | undefined;
}

/** Whose password a file keeps: a role of the cluster, or the role on a primary that odoo-pg does not run. */
export type KeptPassword = keyof RolePasswords | "upstream";

export function passwordFile(layout: Layout, role: KeptPassword): string {
  return path.join(layout.secretsDir, `${role}.password`);
}

/** 32 characters from 62: 190 bits, and nothing that a configuration file, shell or URL would have to quote. */
function generatePassword(): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  let password = "";
  while (password.length < 32) {
    // Bytes from 248 on would make some characters likelier than others.
    for (const byte of randomBytes(48))
      if (byte < 248 && password.length < 32) password += alphabet[byte % 62];
  }
  return password;
}

/** A role's password as it is kept, or undefined when it has none. */
export async function readPassword(layout: Layout, role: KeptPassword): Promise<string | undefined> {
  return (await readTextIfAny(passwordFile(layout, role)))?.replace(/\n$/, "");
}

/** Every role's password: the given one, else the kept one, else a new one. All are kept in files of mode 0600. */
export async function ensurePasswords(
  layout: Layout,
  given: GivenPasswords,
  owner: Owner | undefined,
  upstreamUser?: string,
): Promise<RolePasswords> {
  const keep = async (role: KeptPassword, wanted: string | undefined): Promise<string> => {
    const password = wanted ?? (await readPassword(layout, role)) ?? generatePassword();
    await writeFileIfChanged(passwordFile(layout, role), `${password}\n`, { owner });
    return password;
  };
  const passwords = {
    postgres: await keep("postgres", undefined),
    replicator: await keep("replicator", given.replicator),
    odoo: await keep("odoo", given.odoo),
    collectd: await keep("collectd", given.collectd),
    // Given once, it stays: an `up` without the variable must not lock Odoo out.
    openerp:
      given.openerp === undefined
        ? await readPassword(layout, "openerp")
        : await keep("openerp", given.openerp),
  };
  const upstream =
    given.upstream === undefined
      ? await readPassword(layout, "upstream")
      : await keep("upstream", given.upstream);
  const passfile =
    upstreamUser === undefined ? { replicator: passwords.replicator } : { [upstreamUser]: upstream ?? "" };
  await writeFileIfChanged(passfilePath(layout), renderPassfile(passfile), { owner });
  return passwords;
}
