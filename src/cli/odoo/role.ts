import { generatePassword } from "../../store/secrets.ts";
import { givenPasswordProblem } from "../../config/passwords.ts";
import { shellWord } from "../../shell-word.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { createRole, dropRole, listRoles } from "../../odoo/more-roles.ts";
import { GROUP_ROLE } from "../../odoo/roles.ts";
import { permissionsOf, readTextIfAny } from "../../system/files/files.ts";
import { readStandardInput } from "../../system/terminal.ts";
import type { Context } from "../context.ts";
import { assertConfirmed, onPrimary } from "../source.ts";
import { showTable } from "../table.ts";

/** Roles that belong to the cluster. */
function kept({ config }: Context): string[] {
  return ["postgres", "replicator", "collectd", GROUP_ROLE, config.odoo.role];
}

export interface RoleFlags {
  readonly passwordFile: string | undefined;
  readonly passwordStdin: boolean;
  readonly json: boolean;
}

/** Creates a role for an Odoo. A generated password is printed once, on standard output, and kept nowhere. */
export async function roleCreate(context: Context, name: string, flags: RoleFlags): Promise<ExitStatus> {
  const { output } = context;
  const given = await givenPassword(flags);
  const readers = flags.passwordFile === undefined ? undefined : await othersWhoRead(flags.passwordFile);
  if (readers !== undefined) output.err(`▲ ${readers}`);
  const password = given ?? generatePassword();
  await onPrimary(
    context,
    async (source) =>
      await source.superuser.use((session) => createRole(session, name, password, kept(context))),
  );
  if (flags.json) {
    const role = { name, ...(given === undefined ? { password } : {}) };
    output.out(JSON.stringify({ version: 1, role }, undefined, 2));
  } else if (given === undefined) output.out(password);
  output.err(
    given === undefined
      ? `Role "${name}" is created. Its password is shown above, and kept nowhere else.`
      : `Role "${name}" is created.`,
  );
  return 0;
}

/** Warns when users other than the owner may read a file that contains a password. */
async function othersWhoRead(file: string): Promise<string | undefined> {
  const mode = (await permissionsOf(file))?.mode ?? 0;
  if ((mode & 0o044) === 0) return undefined;
  return `${file} can be read by others (mode ${mode.toString(8).padStart(4, "0")}). Next: chmod 600 ${shellWord(file)}`;
}

async function givenPassword(flags: RoleFlags): Promise<string | undefined> {
  if (flags.passwordFile === undefined && !flags.passwordStdin) return undefined;
  if (flags.passwordFile !== undefined && flags.passwordStdin) {
    throw new OdooPgError("usage", {
      message: "--password-file and --password-stdin cannot be used together.",
    });
  }
  const text = (
    flags.passwordFile === undefined ? await readStandardInput() : await readTextIfAny(flags.passwordFile)
  )?.replace(/\r?\n$/, "");
  const problem = text === undefined ? "there is no such file" : givenPasswordProblem(text);
  if (problem === undefined) return text;
  throw new OdooPgError("usage", {
    message: `The password cannot be used: ${problem}.`,
    safe: "Nothing was changed.",
    next: "Give one password of printable ASCII characters, in one line.",
  });
}

export async function roleList(context: Context, flags: { readonly json: boolean }): Promise<ExitStatus> {
  const roles = await onPrimary(context, async (source) => await source.superuser.use(listRoles));
  if (flags.json) context.output.out(JSON.stringify({ version: 1, roles }, undefined, 2));
  else {
    showTable(
      context.output,
      ["ROLE", "LOGIN", "CREATEDB", "MEMBER OF", "DATABASES"],
      roles.map((role) => [
        role.superuser ? `${role.name} (superuser)` : role.name,
        role.login ? (role.has_password ? "yes" : "without password") : "no",
        role.createdb ? "yes" : "no",
        role.member_of.join(", ") || "–",
        role.databases.join(", ") || "–",
      ]),
    );
  }
  return 0;
}

export async function roleDrop(
  context: Context,
  name: string,
  flags: { readonly confirm: string | undefined },
): Promise<ExitStatus> {
  assertConfirmed(context, name, flags.confirm, `To drop role "${name}"`);
  await onPrimary(
    context,
    async (source) => await source.superuser.use((session) => dropRole(session, name, kept(context))),
  );
  context.output.err(`Role "${name}" is dropped.`);
  return 0;
}
