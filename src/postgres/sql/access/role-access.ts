import { RawSession } from "../../../system/sql/raw-session.ts";
import { connect, type Credentials, type OrdinarySession, type Settings } from "../../../system/sql/sql.ts";
import { SUPERUSER } from "../../initialise.ts";
import { conninfo } from "../quoting.ts";

/** Milliseconds to connect, unless the caller says otherwise: a busy server answers late. */
export const CONNECT_TIMEOUT = 10_000;

/** Options of a session. */
export interface SessionOptions {
  /** Shown in pg_stat_activity; default "odoo-pg". */
  readonly applicationName?: string;
  /** Milliseconds to connect; default 10 000. */
  readonly connectTimeout?: number;
  /** Milliseconds for each statement, on the client; default none. */
  readonly statementTimeout?: number;
  /** Settings that the session begins with. Undefined: as the server has it. */
  readonly settings?: Settings;
}

/** Where a server is reached. */
export interface ServerPlace {
  /** Host name, address, or the directory of a Unix socket. */
  readonly host: string;
  readonly port: () => Promise<number>;
  /** `prefer`: TLS where the server offers it, whatever its certificate. Default: none. */
  readonly encryption?: "prefer";
}

/** The connection of a role that is no superuser. */
export class RoleAccess {
  readonly role: string;
  readonly #server: ServerPlace;
  readonly #password: string;
  readonly #database: string;

  constructor(server: ServerPlace, role: string, password: string, database = "postgres") {
    if (role === SUPERUSER)
      throw new Error("the superuser has a connection of its own: src/postgres/sql/access/superuser.ts");
    this.role = role;
    this.#server = server;
    this.#password = password;
    this.#database = database;
  }

  /** The same role's access to another database. */
  in(database: string): RoleAccess {
    return new RoleAccess(this.#server, this.role, this.#password, database);
  }

  /** Opens a session. @throws SqlError */
  async session(options: SessionOptions = {}): Promise<OrdinarySession> {
    return await connect(await this.#credentials(options));
  }

  /** Opens a session that is given SQL as bytes. @throws SqlError */
  async rawSession(options: SessionOptions = {}): Promise<RawSession> {
    return await RawSession.open(await this.#credentials(options));
  }

  async #credentials(options: SessionOptions): Promise<Credentials> {
    const { port, ...server } = this.#server;
    return {
      connectTimeout: CONNECT_TIMEOUT,
      ...server,
      ...options,
      port: await port(),
      user: this.role,
      password: this.#password,
      database: this.#database,
    };
  }

  /** A connection string for PostgreSQL's client programs, without the password. */
  async connection(applicationName: string): Promise<string> {
    return conninfo({
      host: this.#server.host,
      port: await this.#server.port(),
      user: this.role,
      dbname: this.#database,
      application_name: applicationName,
    });
  }

  /** Opens a session, uses it, closes it. @throws SqlError */
  async use<T>(act: (session: OrdinarySession) => Promise<T>, options: SessionOptions = {}): Promise<T> {
    const session = await this.session(options);
    try {
      return await act(session);
    } finally {
      await session.close();
    }
  }
}
