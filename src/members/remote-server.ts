import type { NodeConfig } from "../config/layout.ts";
import { RoleAccess } from "../postgres/sql/role-access.ts";
import { SqlMember } from "./sql-member.ts";

/** A server of another host or container: it is looked at over the network as role collectd, and nothing is changed on it. */
export class RemoteServer extends SqlMember {
  /** @param password of role collectd there */
  constructor(node: NodeConfig, password: string) {
    const { host, port } = node;
    const place = { host, port: async () => await Promise.resolve(port), encryption: "prefer" } as const;
    super(node, new RoleAccess(place, "collectd", password), "monitoring");
  }
}
