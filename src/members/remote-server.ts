import type { NodeConfig } from "../config/layout.ts";
import { databaseBytes } from "../postgres/sql/observing/facts.ts";
import { RoleAccess } from "../postgres/sql/access/role-access.ts";
import { SqlMember } from "./sql-member.ts";

/** A server of another host or container: it is observed over the network as role collectd, and never changed. */
export class RemoteServer extends SqlMember {
  readonly #access: RoleAccess;

  /** @param password of role collectd there */
  constructor(node: NodeConfig, password: string) {
    const { host, port } = node;
    const place = { host, port: async () => await Promise.resolve(port), encryption: "prefer" } as const;
    const access = new RoleAccess(place, "collectd", password);
    super(node, access, "monitoring");
    this.#access = access;
  }

  /** Bytes of all its databases. @throws SqlError */
  async databaseBytes(): Promise<number> {
    return await this.#access.use(databaseBytes, {
      applicationName: "odoo-pg agent",
      statementTimeout: 60_000,
    });
  }
}
