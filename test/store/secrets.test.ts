import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  ensurePasswords,
  type GivenPasswords,
  readPassword,
  storePasswords,
} from "../../src/store/secrets.ts";
import { type Layout, layoutOf } from "../../src/config/layout.ts";
import type { RolePasswords } from "../../src/odoo/roles.ts";
import { passfilePath } from "../../src/postgres/render.ts";
import { ensureDirectory } from "../../src/system/files/files.ts";
import { serverOwner } from "../postgres/throwaway-node.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** A way to the passwords of one new cluster. */
async function newCluster(): Promise<{
  layout: Layout;
  ensure: (given?: GivenPasswords) => Promise<RolePasswords>;
}> {
  const owner = await serverOwner();
  const layout = layoutOf(temporaryFolder());
  await ensureDirectory(layout.secretsDir, { owner });
  // As `up` does it: stored once the primary has taken them.
  const ensure = async (given: GivenPasswords = {}): Promise<RolePasswords> => {
    const passwords = await ensurePasswords(layout, given, owner);
    await storePasswords(layout, passwords, owner);
    return passwords;
  };
  return { layout, ensure };
}

/** Each file with its text and inode: a file that is written anew has another one. */
function filesIn({ secretsDir }: Layout): Record<string, string> {
  return Object.fromEntries(
    readdirSync(secretsDir).map((name) => {
      const file = join(secretsDir, name);
      return [name, `${lstatSync(file).ino} ${readFileSync(file, "utf8")}`];
    }),
  );
}

test("passwords are generated, each another one, and none for openerp", async () => {
  const { ensure } = await newCluster();
  const { openerp, ...generated } = await ensure();
  const values = Object.values(generated).filter((password) => password !== undefined);
  expect(openerp).toBeUndefined();
  expect(new Set(values).size).toBe(values.length);
  expect(values.every((password) => /^[A-Za-z0-9]{32}$/.test(password))).toBe(true);
  const { odoo } = await (await newCluster()).ensure();
  expect(odoo === generated.odoo).toBe(false);
});

test("passwords lie in files that only root reads, but the one that the replicas' servers read", async () => {
  const { layout, ensure } = await newCluster();
  await ensure({ openerp: "given" });
  const owner = await serverOwner();
  const names = readdirSync(layout.secretsDir);
  expect(names).toContain("odoo.password");
  expect(names).toContain("openerp.password");
  for (const name of names) {
    const stat = lstatSync(join(layout.secretsDir, name));
    expect([name, stat.mode & 0o777]).toEqual([name, 0o600]);
    const uid = name === "replicator.pgpass" && owner ? owner.uid : process.getuid?.();
    expect([name, stat.uid]).toEqual([name, uid]);
  }
});

test("a second run keeps all passwords and writes no file", async () => {
  const { layout, ensure } = await newCluster();
  const first = await ensure();
  const files = filesIn(layout);
  expect((await ensure()).odoo === first.odoo).toBe(true);
  expect(JSON.stringify(filesIn(layout)) === JSON.stringify(files)).toBe(true);
});

test("given passwords win over kept ones, and stay when they are no longer given", async () => {
  const { layout, ensure } = await newCluster();
  const generated = await ensure();
  const given = { odoo: "it's \\ odoo", replicator: "a:b\\c", collectd: "c d", openerp: "e" };
  const { postgres, ...rest } = await ensure(given);
  expect(rest).toMatchObject(given);
  expect(postgres === generated.postgres).toBe(true);
  expect(await ensure()).toMatchObject(given);
  expect(await readPassword(layout, "openerp")).toBe("e");
});

test("the replicas' password file follows the password of replicator", async () => {
  const { layout, ensure } = await newCluster();
  await ensure({ replicator: "a:b\\c" });
  expect(readFileSync(passfilePath(layout), "utf8")).toBe("*:*:*:replicator:a\\:b\\\\c\n");
});

test("a given password replaces a kept one only when it is stored: an up that is refused changes nothing", async () => {
  const { layout, ensure } = await newCluster();
  await ensure();
  const files = filesIn(layout);
  const passwords = await ensurePasswords(layout, { replicator: "other" }, await serverOwner());
  expect(passwords.replicator).toBe("other");
  expect(JSON.stringify(filesIn(layout)) === JSON.stringify(files)).toBe(true);
});
