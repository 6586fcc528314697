import { nextStep, odooPg } from "../../../next-step.ts";
import path from "node:path";
import * as z from "zod";
import { nodeLayoutOf, type Layout, type NodeConfig } from "../../../config/layout.ts";
import { passwordProblem } from "../../../config/passwords.ts";
import { OdooPgError } from "../../../errors.ts";
import { readTextIfAny, writeFileIfChanged } from "../../../system/files/files.ts";
import { readTextOfOthers } from "../../../system/files/held/by-path.ts";
import { connect, SqlError, startupOptions, type SuperuserSession } from "../../../system/sql/sql.ts";
import { SUPERUSER } from "../../initialise.ts";
import { conninfo, quotePassfileField } from "../quoting.ts";
import { CONNECT_TIMEOUT, RoleAccess, type ServerPlace, type SessionOptions } from "./role-access.ts";
import { findPostmaster } from "../../server.ts";

/** A setting that begins every session, and the major version from which on servers know it. */
type Fixed = readonly [name: string, value: string, since?: number];

/** Schemas where names and operators are looked for. */
const SEARCH_PATH = "pg_catalog, pg_temp";

/**
 * What sessions and client programs of the superuser begin with. Settings of the startup packet go before those that a
 * database, a role, or a role in a database has (guc.h, GucSource): its owner sets those.
 *
 * With pg_catalog alone to search, names and operators are the system's own, however well another would fit; temporary
 * things come last. PostgreSQL manual, "Client Connection Defaults".
 */
const FIXED: readonly Fixed[] = [
  ["search_path", SEARCH_PATH],
  ["role", "none"],
  // Libraries are loaded before the first statement.
  ["session_preload_libraries", ""],
  ["local_preload_libraries", ""],
  // Timeouts that would end a statement or a session.
  ["statement_timeout", "0"],
  // A program, such as pg_dump or a person's psql, sets its own.
  ["lock_timeout", "0"],
  ["idle_in_transaction_session_timeout", "0"],
  ["idle_session_timeout", "0", 14],
  ["transaction_timeout", "0", 17],
  // What transactions may do and see.
  ["default_transaction_read_only", "off"],
  ["default_transaction_deferrable", "off"],
  ["default_transaction_isolation", "read committed"],
  ["row_security", "off"],
  // How values are written and read.
  ["client_encoding", "UTF8"],
  ["DateStyle", "ISO, MDY"],
  ["IntervalStyle", "postgres"],
  ["TimeZone", "UTC"],
  ["timezone_abbreviations", "Default"],
  ["bytea_output", "hex"],
  ["extra_float_digits", "1"],
  ["xmlbinary", "base64"],
  ["xmloption", "content"],
  ["quote_all_identifiers", "off"],
  // How statements are understood.
  ["standard_conforming_strings", "on"],
  ["backslash_quote", "safe_encoding"],
  ["transform_null_equals", "off"],
  ["array_nulls", "on"],
  ["check_function_bodies", "on"],
  ["default_table_access_method", "heap"],
];

/** Event triggers do not fire for what odoo-pg does, whichever role owns their function. */
const NO_TRIGGERS: readonly Fixed[] = [
  ["session_replication_role", "replica"],
  ["event_triggers", "off", 17],
];

/**
 * Says who the session is, and sets back what the database or the role has set and the startup packet did not: newer
 * servers have settings that this list does not know. A value of the files is the server's own, else the built-in one.
 */
const PROOF = `SELECT CURRENT_USER::pg_catalog.text AS "current", SESSION_USER::pg_catalog.text AS "session",
  (SELECT a.rolsuper FROM pg_catalog.pg_authid a WHERE a.rolname OPERATOR(pg_catalog.=) CURRENT_USER) AS superuser,
  pg_catalog.current_setting('search_path') AS search_path,
  (SELECT pg_catalog.array_agg(e.evtname::pg_catalog.text) FROM pg_catalog.pg_event_trigger e
   JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) e.evtfoid
   JOIN pg_catalog.pg_authid o ON o.oid OPERATOR(pg_catalog.=) p.proowner
   WHERE NOT o.rolsuper AND e.evtenabled OPERATOR(pg_catalog.=) ANY ('{A,R}'::pg_catalog."char"[])
     AND pg_catalog.current_setting('event_triggers', true) IS DISTINCT FROM 'off') AS triggers,
  (SELECT pg_catalog.jsonb_object_agg(s.name, pg_catalog.set_config(s.name, COALESCE(
      (SELECT f.setting FROM pg_catalog.pg_file_settings f
       WHERE f.applied AND pg_catalog.lower(f.name) OPERATOR(pg_catalog.=) pg_catalog.lower(s.name)
       ORDER BY f.seqno DESC LIMIT 1), s.boot_val), false))
   FROM pg_catalog.pg_settings s
   WHERE s.source OPERATOR(pg_catalog.=) ANY (ARRAY['database', 'user', 'database user'])
     AND s.context OPERATOR(pg_catalog.=) ANY (ARRAY['user', 'superuser'])) AS set_back`;

/** SQLSTATE insufficient_privilege: the proof asks what a superuser alone may know. */
const NOT_ALLOWED = "42501";

/**
 * Milliseconds for which a session waits for a lock, where its work sets no other. The owner of a database can hold some
 * that the superuser needs (a comment on the database is enough), for ever: it must not hold up all else.
 */
const LOCK_TIMEOUT = 30_000;

/** What node-postgres says when no session came about in time. */
const NO_SESSION = "timeout expired";

const proofRow = z.object({
  current: z.literal(SUPERUSER),
  session: z.literal(SUPERUSER),
  superuser: z.literal(true),
  search_path: z.literal(SEARCH_PATH),
  /** Those of others that are run for a session of whatever kind. */
  triggers: z.null(),
  set_back: z.record(z.string(), z.string()).nullable(),
});

/** What one of PostgreSQL's client programs needs to work as the superuser. */
export interface ClientAccess {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** A connection string; the database's name may be anything. */
  readonly connection: string;
  /** PG* variables, the whole of them. */
  readonly environment: Readonly<Record<string, string>>;
}

interface Place extends ServerPlace {
  readonly secretsDir: string;
  readonly dataDir: string;
}

/**
 * The superuser's way to a server of this host, by its Unix socket. Nothing else makes sessions of the superuser or
 * reads its password (lint): in a database of another owner, a session begins with settings that its owner
 * cannot overrule, and it is proven to be the superuser's own before anything is asked.
 */
export class Superuser {
  readonly #place: Place;
  readonly #database: string;

  private constructor(place: Place, database: string) {
    this.#place = place;
    this.#database = database;
  }

  /** Into database postgres of a node's server, by the port that it runs with: a changed one counts from its restart on. */
  static of(layout: Layout, node: Pick<NodeConfig, "name" | "port" | "data_dir">): Superuser {
    const { dataDir } = nodeLayoutOf(layout, node);
    const port = async (): Promise<number> => (await findPostmaster(dataDir))?.port ?? node.port;
    const { runDir: host, secretsDir } = layout;
    return new Superuser({ host, port, secretsDir, dataDir }, "postgres");
  }

  /** Into another database of the same server. */
  in(database: string): Superuser {
    return new Superuser(this.#place, database);
  }

  /** Another role's way to the same server. */
  as(role: string, password: string): RoleAccess {
    const { host, port } = this.#place;
    return new RoleAccess({ host, port }, role, password, this.#database);
  }

  /** @throws SqlError; OdooPgError refused for a session that is not the superuser's own, state_dir_unusable for its password. */
  async session(options: SessionOptions = {}): Promise<SuperuserSession> {
    const { host, port } = this.#place;
    let byPassword = false;
    const known = settingsOf([...FIXED, ...NO_TRIGGERS], await this.#major());
    const session = await connect({
      connectTimeout: CONNECT_TIMEOUT,
      ...options,
      host,
      port: await port(),
      user: SUPERUSER,
      password: async () => {
        byPassword = true;
        return await this.#password();
      },
      database: this.#database,
      settings: { ...known, lock_timeout: String(LOCK_TIMEOUT), ...options.settings },
    }).catch((error: unknown) => {
      throw error instanceof SqlError && error.message === NO_SESSION ? this.#noSession(error) : error;
    });
    try {
      const [row] = await session.query(PROOF);
      const proof = proofRow.safeParse(row);
      if (!proof.success) throw this.#notOwn(JSON.stringify(row));
      return { ...session, rights: "superuser", byPassword, setBack: proof.data.set_back ?? {} };
    } catch (error) {
      await session.close();
      throw error instanceof SqlError && error.code === NOT_ALLOWED ? this.#notOwn(error.message) : error;
    }
  }

  /** Opens a session, uses it, closes it. @throws as `session` */
  async use<T>(act: (session: SuperuserSession) => Promise<T>, options: SessionOptions = {}): Promise<T> {
    const session = await this.session(options);
    try {
      return await act(session);
    } finally {
      await session.close();
    }
  }

  /**
   * For a program that works beside a session in the same database: what was set back there is so here.
   * @param applicationName shown in pg_stat_activity
   */
  async client(applicationName: string, beside?: SuperuserSession): Promise<ClientAccess> {
    const { host } = this.#place;
    const port = await this.#place.port();
    const major = await this.#major();
    const settings = { ...beside?.setBack, ...settingsOf([...FIXED, ...NO_TRIGGERS], major) };
    return {
      host,
      port,
      user: SUPERUSER,
      connection: conninfo({
        host,
        port,
        user: SUPERUSER,
        dbname: this.#database,
        application_name: applicationName,
      }),
      environment: { PGPASSFILE: await this.#passfile(), PGOPTIONS: startupOptions(settings) },
    };
  }

  /**
   * For people and for their own scripts: event triggers fire, as for every role.
   * @param settings in the place of ours
   */
  async clientOfOperator(settings: Readonly<Record<string, string>> = {}): Promise<ClientAccess> {
    const access = await this.client("");
    const own = { ...settingsOf(FIXED, await this.#major()), ...settings };
    return { ...access, environment: { ...access.environment, PGOPTIONS: startupOptions(own) } };
  }

  #noSession({ code }: SqlError): SqlError {
    const database = JSON.stringify(this.#database);
    return new SqlError(
      `no session in database ${database} came about in time: the server hangs, or somebody holds a lock on its system tables`,
      code,
    );
  }

  #notOwn(words: string): OdooPgError {
    return new OdooPgError("refused", {
      message: `A session in database ${JSON.stringify(this.#database)} would not be the superuser's own: ${words}.`,
      safe: "Nothing was done in it.",
      next: nextStep`Look what is set there: ${odooPg("psql", "--", "-c", "SELECT * FROM pg_db_role_setting")}`,
    });
  }

  /** Major version of the server's data; undefined where it does not say: then only what all versions know is set. */
  async #major(): Promise<number | undefined> {
    const text = await readTextOfOthers(path.join(this.#place.dataDir, "PG_VERSION")).catch(() => undefined);
    return text === undefined || !/^\d+\n?$/.test(text) ? undefined : Number(text);
  }

  get #passwordFile(): string {
    return path.join(this.#place.secretsDir, `${SUPERUSER}.password`);
  }

  /** Asked for only where the server wants it. @throws OdooPgError state_dir_unusable */
  async #password(): Promise<string> {
    const password = (await readTextIfAny(this.#passwordFile))?.replace(/\n$/, "");
    const problem = password === undefined ? "there is no such file" : passwordProblem(password);
    if (password !== undefined && problem === undefined) return password;
    throw new OdooPgError("state_dir_unusable", {
      message: `The server asks for the superuser's password, and ${this.#passwordFile} holds none: ${problem}.`,
      safe: "Nothing was changed.",
      next: "Put the file back from a copy.",
    });
  }

  /** A password file for PostgreSQL's programs; one without a password in it where ours cannot be used. */
  async #passfile(): Promise<string> {
    const { secretsDir } = this.#place;
    const file = path.join(secretsDir, `${SUPERUSER}.pgpass`);
    const password = await this.#password().catch(() => undefined);
    const line = password === undefined ? "" : `*:*:*:${SUPERUSER}:${quotePassfileField(password)}\n`;
    await writeFileIfChanged(file, line);
    return file;
  }
}

function settingsOf(fixed: readonly Fixed[], major: number | undefined): Record<string, string> {
  const known = fixed.filter(([, , since]) => since === undefined || (major !== undefined && major >= since));
  return Object.fromEntries(known.map(([name, value]) => [name, value]));
}
