import { isAtLeast } from "../../system/program-version.ts";
import path from "node:path";
import { OdooPgError } from "../../errors.ts";
import type { ProgramSearch } from "../../system/install.ts";
import { programPlaces } from "../../system/program-places.ts";
import { isExecutable, writeFileAtomic } from "../../system/files/files.ts";
import { temporaryDirectory } from "../../system/files/temporary-directory.ts";
import { run } from "../../system/process/process.ts";

/** A program that several hosts need, and how it states its version. */
export interface HaProgram {
  readonly path: string;
  readonly version: string;
}

interface Kind {
  readonly program: "patroni" | "etcd";
  readonly name: string;
  readonly oldest: readonly [number, number, number];
  readonly says: RegExp;
  readonly apt: string;
  /** Why an older one will not do. */
  readonly why: string;
}

const PATRONI: Kind = {
  program: "patroni",
  name: "Patroni",
  oldest: [4, 0, 7],
  says: /^patroni (\d+)\.(\d+)\.(\d+)/m,
  apt: "patroni python3-etcd",
  why: "Patroni 3.0.2 lost acknowledged rows when an old primary came back, and those before 4.0.7 do not keep a primary writable when etcd is away",
};

const ETCD: Kind = {
  program: "etcd",
  name: "etcd",
  oldest: [3, 5, 0],
  says: /^etcd Version: (\d+)\.(\d+)\.(\d+)/m,
  apt: "etcd-server",
  why: "etcd 3.4 is no longer maintained",
};

/** @throws OdooPgError program_missing where there is none, or only an older one: with the reason and the way */
async function find(kind: Kind, machine: ProgramSearch): Promise<HaProgram> {
  const oldest = kind.oldest.join(".");
  const old: string[] = [];
  for (const path of programPlaces(kind.program, machine.searchPath)) {
    if (!(await isExecutable(path))) continue;
    const said = await run(path, ["--version"], { timeout: 10_000 }).catch(() => undefined);
    const version = kind.says.exec(said?.stdout ?? "")?.slice(1, 4);
    if (!version) continue;
    if (isAtLeast(version.map(Number), kind.oldest)) return { path, version: version.join(".") };
    old.push(`${version.join(".")} at ${path}`);
  }
  throw new OdooPgError("program_missing", {
    message: old.length
      ? `Several hosts need ${kind.name} ${oldest} or later; found: ${old.join(", ")}. ${kind.why}.`
      : `Several hosts need ${kind.name} ${oldest} or later, and there is none.`,
    safe: "Nothing was changed.",
    next: `${machine.install({ apt: kind.apt, brew: kind.apt })} (Debian 13 has it; on Debian 12 and Ubuntu first add PostgreSQL's own repository: apt-get install -y postgresql-common && /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh)`,
  });
}

/** @throws OdooPgError program_missing */
export async function findPatroni(machine: ProgramSearch): Promise<HaProgram> {
  return await find(PATRONI, machine);
}

/** A configuration that names no store: Patroni then lists those it can work with, and ends. */
const WITHOUT_STORE = JSON.stringify({ scope: "odoo_pg", name: "odoo_pg" });

/**
 * Refuses a Patroni without the module for etcd: Debian's package (4.0.7-3) depends on any one of five modules, and without
 * the right one Patroni ends at each start. A Patroni that does not list its modules is accepted.
 * Source: Patroni 4.0, patroni/dcs/__init__.py, get_dcs
 * @throws OdooPgError program_missing
 */
export async function requireEtcdModule(
  { path: patroni }: HaProgram,
  { install }: Pick<ProgramSearch, "install">,
): Promise<void> {
  const said = await temporaryDirectory(undefined, async (folder) => {
    const file = path.join(folder, "patroni.yml");
    await writeFileAtomic(file, WITHOUT_STORE);
    return await run(patroni, [file], { timeout: 30_000 }).catch(() => undefined);
  });
  const [, stores] = /^Available implementations: (.*)$/m.exec(said?.stderr ?? "") ?? [];
  if (stores === undefined || /\betcd3\b/.test(stores)) return;
  throw new OdooPgError("program_missing", {
    message: `Patroni at ${patroni} lacks Python's module for etcd: it only works with ${stores}.`,
    safe: "Nothing was changed.",
    next: install({ apt: "python3-etcd", brew: "patroni" }),
  });
}

/** @throws OdooPgError program_missing */
export async function findEtcd(machine: ProgramSearch): Promise<HaProgram> {
  return await find(ETCD, machine);
}
