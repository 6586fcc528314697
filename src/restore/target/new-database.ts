import { randomBytes } from "node:crypto";
import path from "node:path";
import { scramVerifier } from "../../postgres/sql/access/scram.ts";
import { BEGIN_UNRECORDED } from "../../postgres/sql/access/unrecorded.ts";
import { quotePassfileField } from "../../postgres/sql/quoting.ts";
import { compressWithLz4 } from "../../postgres/sql/wal-compression.ts";
import { waitUntil } from "../../system/clock.ts";
import { removeFile, writeFileAtomic } from "../../system/files/files.ts";
import {
  explainSql,
  quoteSqlIdentifier as id,
  quoteSqlLiteral as literal,
  SqlError,
  type Session,
} from "../../system/sql/sql.ts";
import { dropOwn } from "../../odoo/own-names.ts";
import { lockWork } from "../../odoo/work-lock.ts";
import type { RoleAccess } from "../../postgres/sql/access/role-access.ts";
import type { Superuser } from "../../postgres/sql/access/superuser.ts";
import { SAFE_EXTENSIONS } from "../../backup/restorable.ts";
import { SCRATCH_PREFIX, type BackupSource } from "../../backup/source.ts";
import type { WantedExtension } from "../reading/statement.ts";

/** The form of a database that is made. */
export interface DatabaseForm {
  /** Such as UTF8. */
  readonly encoding: string;
  readonly locale_provider: string;
  readonly collate: string | null;
  readonly ctype: string | null;
  readonly locale: string | null;
}

/** As Odoo makes its own (`service/db.py`), and as the template is. */
export const ODOO_FORM: DatabaseForm = {
  encoding: "UTF8",
  locale_provider: "libc",
  collate: "C",
  ctype: "C",
  locale: null,
};

/** Names of databases in the making, and of the roles that fill them. */
const NEW_PREFIX = `${SCRATCH_PREFIX}new_`;
const LOADER_PREFIX = `${SCRATCH_PREFIX}loader_`;
const NAME = new RegExp(`^${NEW_PREFIX}([0-9a-f]{8})$`);

/** Timeout for sessions to end, in milliseconds: on a busy machine a process needs time to notice. */
const END_TIMEOUT = 60_000;

/** Bytes of a database up to which a copy of it goes through the WAL. */
const WAL_UP_TO = 128 * 1024 * 1024;

/**
 * Settings of sessions that load: none of it is worth waiting for the disk, because a failed load is thrown away. With
 * no more than two processors, two loading processes keep them busy: parallel workers of an index build would only add
 * work.
 */
export function loadSettings(processors: number): Record<string, string> {
  return {
    synchronous_commit: "off",
    maintenance_work_mem: "256MB",
    ...(processors <= 2 ? { max_parallel_maintenance_workers: "0" } : {}),
  };
}

/**
 * A database in the making: under an unguessable name, owned by a role used only for it, and closed to all other roles.
 * The role that fills it can do nothing outside it. In the end it gets its real owner and name, or is removed.
 */
export class NewDatabase {
  readonly name: string;
  readonly loader: string;
  readonly #source: BackupSource;
  readonly #password = randomBytes(24).toString("base64url");
  /** Holds the advisory lock. */
  readonly #keeper: Session;
  readonly passfile: string;
  #loaderThere = false;
  #left = false;

  private constructor(source: BackupSource, keeper: Session, mark: string) {
    this.#source = source;
    this.#keeper = keeper;
    this.name = NEW_PREFIX + mark;
    this.loader = LOADER_PREFIX + mark;
    this.passfile = path.join(source.secretsDir, `${this.loader}.pgpass`);
  }

  /** Takes a name and the lock on it; nothing is created yet. */
  static async begin(source: BackupSource): Promise<NewDatabase> {
    const keeper = await source.superuser.session();
    let mark: string;
    do mark = randomBytes(4).toString("hex");
    while (!(await lockMark(keeper, mark)));
    return new NewDatabase(source, keeper, mark);
  }

  get superuser(): Superuser {
    return this.#source.superuser.in(this.name);
  }

  /** The connection of the role that fills it. Its programs take `passfile` as PGPASSFILE. */
  get loading(): RoleAccess {
    return this.superuser.as(this.loader, this.#password);
  }

  /** A session on database postgres, for work on whole databases. */
  get outside(): Session {
    return this.#keeper;
  }

  /**
   * Creates the role that fills it.
   * @param memberOf a role whose objects it may change: for an existing copy
   */
  async createLoader(memberOf?: string): Promise<void> {
    const role = id(this.loader);
    await this.#keeper.query(BEGIN_UNRECORDED);
    this.#loaderThere = true;
    await this.#keeper.query(`CREATE ROLE ${role} LOGIN PASSWORD ${literal(scramVerifier(this.#password))}`);
    // The superuser sets it for the role, which may not set it itself.
    if (await this.#hasLz4()) await this.#keeper.query(`ALTER ROLE ${role} SET wal_compression = lz4`);
    if (memberOf !== undefined) await this.#keeper.query(`GRANT ${id(memberOf)} TO ${role}`);
    await this.#keeper.query("COMMIT");
    await writeFileAtomic(this.passfile, `*:*:*:${this.loader}:${quotePassfileField(this.#password)}\n`);
  }

  /**
   * Whether the server compresses the WAL with lz4: an index build writes its pages to the WAL, and compressing them
   * with the older pglz would take longer than building them. From PostgreSQL 15 on, where it was built with it.
   */
  async #hasLz4(): Promise<boolean> {
    const rows = await this.#keeper.query(
      "SELECT FROM pg_settings WHERE name = 'wal_compression' AND 'lz4' = ANY (enumvals)",
    );
    return rows.length > 0;
  }

  /** Creates an empty one, closed to all roles but its loader. */
  async createEmpty(form: DatabaseForm): Promise<void> {
    await this.createLoader();
    await this.#create(`TEMPLATE template0 ${wordsOf(form)} OWNER ${id(this.loader)}`);
    await this.superuser.use(async (session) => {
      // Odoo does this itself in each new database; since PostgreSQL 15 it is no longer the default.
      await session.query("GRANT CREATE ON SCHEMA public TO PUBLIC");
    });
  }

  /** Copies a database without connected sessions. @throws SqlError 55006 when there is one. */
  async createCopy(of: string): Promise<void> {
    const [row] = await this.#keeper.query(
      `SELECT current_setting('server_version_num')::int >= 150000 AS choice, pg_database_size($1) > $2::bigint AS large`,
      [of, WAL_UP_TO],
    );
    // The other strategy writes every page to the WAL, which each replica must fetch.
    const strategy = row?.["choice"] === true && row["large"] === true ? " STRATEGY file_copy" : "";
    await this.#create(`TEMPLATE ${id(of)}${strategy}`);
  }

  async #create(words: string): Promise<void> {
    await compressWithLz4(this.#keeper);
    // No other session may connect before access is revoked.
    await this.#keeper.query(`CREATE DATABASE ${id(this.name)} ${words} ALLOW_CONNECTIONS false`);
    await this.#keeper.query(
      `REVOKE ALL ON DATABASE ${id(this.name)} FROM PUBLIC; ALTER DATABASE ${id(this.name)} ALLOW_CONNECTIONS true`,
    );
  }

  /** Lets the loader in where it does not own the database. */
  async admitLoader(): Promise<void> {
    await this.#keeper.query(`GRANT CONNECT, TEMPORARY ON DATABASE ${id(this.name)} TO ${id(this.loader)}`);
  }

  /**
   * Creates an extension: one that every role may create belongs to the loader, others to the superuser. unaccent(text)
   * is given to the loader, as Odoo makes it its own.
   * @param trusted whether extensions that only a superuser may create are accepted from the dump
   * @param immutableUnaccent whether unaccent(text) is made IMMUTABLE, as Odoo needs it for its indexes
   * @returns why it could not be created
   */
  async createExtension(
    { name, schema }: WantedExtension,
    trusted: boolean,
    immutableUnaccent: boolean,
  ): Promise<SqlError | undefined> {
    return await this.superuser.use(async (session) => {
      const [row] = await session.query(
        `SELECT bool_or(v.trusted) AS trusted, e.installed_version IS NOT NULL AS there
         FROM pg_available_extensions e JOIN pg_available_extension_versions v ON v.name = e.name
         WHERE e.name = $1 GROUP BY 2`,
        [name],
      );
      if (row?.["there"] === true) return undefined;
      if (!row) return new SqlError(`extension "${name}" is not installed on this server`, "0A000");
      const everybodys = row["trusted"] === true;
      if (!everybodys && !trusted && !SAFE_EXTENSIONS.includes(name))
        return new SqlError(`extension "${name}" may be made by a superuser only`, "42501");
      // A superuser's script must not call functions that another role wrote.
      if (!everybodys && (await this.#holdsFunctions(session)))
        return new SqlError(`extension "${name}" has to be made before the dump's own functions`, "42501");
      try {
        const create = `CREATE EXTENSION ${id(name)} SCHEMA ${id(schema ?? "public")}`;
        if (everybodys) await this.loading.use((own) => own.query(create));
        else await session.query(create);
        if (name === "unaccent") await this.#giveUnaccent(session, immutableUnaccent);
        return undefined;
      } catch (error) {
        if (error instanceof SqlError && !session.broken()) return error;
        throw error;
      }
    });
  }

  /**
   * Whether the loader made anything. Functions in C do not count: only a superuser can have written them, such as the
   * unaccent(text) that was given to it.
   */
  async #holdsFunctions(session: Session): Promise<boolean> {
    const rows = await session.query(
      `SELECT FROM pg_proc WHERE proowner = $1::regrole AND prolang <> (SELECT oid FROM pg_language WHERE lanname = 'c')
       UNION ALL SELECT FROM pg_operator WHERE oprowner = $1::regrole
       UNION ALL SELECT FROM pg_class WHERE relowner = $1::regrole UNION ALL SELECT FROM pg_type WHERE typowner = $1::regrole`,
      [id(this.loader)],
    );
    return rows.length > 0;
  }

  async #giveUnaccent(session: Session, immutable: boolean): Promise<void> {
    const [row] = await session.query(
      `SELECT p.oid::regprocedure::text AS function FROM pg_extension e
       JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
         AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
       JOIN pg_proc p ON p.oid = d.objid AND p.proname = 'unaccent' AND p.pronargs = 1
       WHERE e.extname = 'unaccent'`,
    );
    if (!row) return;
    const named = String(row["function"]);
    if (immutable) await session.query(`ALTER FUNCTION ${named} IMMUTABLE`);
    await session.query(`ALTER FUNCTION ${named} OWNER TO ${id(this.loader)}`);
  }

  /**
   * Takes the rights from the loader: everything is given to `owner`, and the role is dropped. The database itself
   * belongs to the superuser until it gets its name, so that no Odoo lists it.
   */
  async dismissLoader(owner: string): Promise<void> {
    const { name, loader } = this;
    await this.#keeper.query(`ALTER DATABASE ${id(name)} OWNER TO CURRENT_USER`);
    await this.#endSessions();
    // Until now it was owned by the role that filled it: no function of a dump may have marked it as a template.
    await this.#keeper.query(`ALTER DATABASE ${id(name)} IS_TEMPLATE false CONNECTION LIMIT -1`);
    await this.superuser.use(async (session) => {
      await session.query(`REASSIGN OWNED BY ${id(loader)} TO ${id(owner)}; DROP OWNED BY ${id(loader)}`);
    });
    await this.#keeper.query(`DROP ROLE ${id(loader)}`);
    this.#loaderThere = false;
    await removeFile(this.passfile);
  }

  /**
   * Settings of the database (ALTER DATABASE … SET), as the catalogue has them: `name=value`. Only what every user may set
   * is taken over: others could load libraries into a superuser's session on the dump's word.
   * @returns those that were left out, one line each
   */
  async setDatabaseSettings(settings: readonly string[]): Promise<string[]> {
    if (!settings.length) return [];
    const rows = await this.#keeper.query(
      `SELECT s AS setting FROM unnest($1::text[]) s JOIN pg_settings p ON lower(p.name) = lower(split_part(s, '=', 1))
       WHERE p.context = 'user' AND p.name <> 'local_preload_libraries'`,
      [settings],
    );
    const allowed = rows.map((row) => String(row["setting"]));
    if (allowed.length) {
      // Through the catalogue: SET would have to know which settings are lists.
      await this.#keeper.query(
        `INSERT INTO pg_db_role_setting (setdatabase, setrole, setconfig)
         SELECT oid, 0, $2::text[] FROM pg_database WHERE datname = $1`,
        [this.name, allowed],
      );
    }
    return settings
      .filter((setting) => !allowed.includes(setting))
      .map((setting) => `not set, because only a superuser may: ${setting}`);
  }

  async #endSessions(): Promise<void> {
    // PostgreSQL 13 does not wait for them itself. Autovacuum comes and goes, and gives way to any session that needs
    // the database.
    await waitUntil(
      async () => {
        const left = await this.#keeper.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE datname = $1 AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker'`,
          [this.name],
        );
        return left.length === 0;
      },
      { what: `the sessions that filled database ${this.name} to end`, timeout: END_TIMEOUT },
    );
  }

  /** Leaves it as it is, whatever its name by now: its outcome is unknown, and the next restore finds out. */
  leave(): void {
    this.#left = true;
  }

  /** Whether it is to stay as it is. */
  get isLeft(): boolean {
    return this.#left;
  }

  /** Removes it. Everything that was created is then gone, or goes at the next start of a restore. */
  async discard(): Promise<void> {
    if (this.#left) {
      await removeFile(this.passfile);
      return await this.#keeper.close();
    }
    const session = this.#keeper.broken()
      ? await this.#source.superuser.session().catch(() => undefined)
      : this.#keeper;
    try {
      if (session) await removeRemains(session, this.name, this.loader);
    } catch {
      // The next restore removes it: the lock is free then.
    } finally {
      if (session && session !== this.#keeper) await session.close();
      await this.#keeper.close();
      await removeFile(this.passfile);
    }
  }

  /** Ends the work on it, once it has its real name. */
  async close(): Promise<void> {
    if (this.#loaderThere) await this.#keeper.query(`DROP ROLE IF EXISTS ${id(this.loader)}`).catch(() => {});
    await removeFile(this.passfile);
    await this.#keeper.close();
  }
}

function wordsOf(form: DatabaseForm): string {
  const locale = form.locale === null ? undefined : literal(form.locale);
  return [
    `ENCODING ${literal(form.encoding)}`,
    ...(form.locale_provider === "icu" && locale !== undefined
      ? [`LOCALE_PROVIDER icu ICU_LOCALE ${locale}`]
      : []),
    ...(form.locale_provider === "builtin" && locale !== undefined
      ? [`LOCALE_PROVIDER builtin BUILTIN_LOCALE ${locale}`]
      : []),
    ...(form.collate === null ? [] : [`LC_COLLATE ${literal(form.collate)}`]),
    ...(form.ctype === null ? [] : [`LC_CTYPE ${literal(form.ctype)}`]),
  ].join(" ");
}

/** @returns whether the name is free now; false where another owner's database has it */
async function removeRemains(session: Session, database: string, loader: string): Promise<boolean> {
  await session.query("ROLLBACK");
  const gone = await dropOwn(session, database, loader);
  await session.query(`DROP ROLE IF EXISTS ${id(loader)}`);
  return gone;
}

/**
 * Marks of abandoned databases in the making: those of killed restores and copies. The locks are kept. A database that
 * belongs to neither the superuser nor its own loader is another owner's, whatever its name.
 */
export async function abandonedMarks(session: Session): Promise<string[]> {
  const rows = await session.query(
    `SELECT datname AS name FROM pg_database JOIN pg_roles o ON o.oid = datdba
     WHERE datname ~ $1 AND (o.rolname = CURRENT_USER OR o.rolname = replace(datname, $3, $2))
     UNION SELECT replace(rolname, $2, $3) FROM pg_roles WHERE starts_with(rolname, $2)`,
    [NAME.source, LOADER_PREFIX, NEW_PREFIX],
  );
  const marks = rows.flatMap((row) => NAME.exec(String(row["name"]))?.[1] ?? []);
  const abandoned: string[] = [];
  for (const mark of new Set(marks)) if (await lockMark(session, mark)) abandoned.push(mark);
  return abandoned;
}

/** Takes the lock on a database in the making; false while another process works on it. Kept until the session ends. */
export async function lockMark(session: Session, mark: string): Promise<boolean> {
  return await lockWork(session, mark);
}

/** The common part of the names of a database in the making, its role and its folder. */
export function markOf(name: string): string {
  return NAME.exec(name)?.[1] ?? "";
}

/**
 * Removes what a killed restore left in the server. @returns the name of its database; undefined where another one has
 * it
 */
export async function removeAbandoned(session: Session, mark: string): Promise<string | undefined> {
  const name = NEW_PREFIX + mark;
  try {
    return (await removeRemains(session, name, LOADER_PREFIX + mark)) ? name : undefined;
  } catch (error) {
    throw explainSql(error, `What a killed restore left (database ${name}) cannot be removed`);
  }
}

/** Whether a name is that of a database in the making. */
export function isNewName(name: string): boolean {
  return NAME.test(name);
}
