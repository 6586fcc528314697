/** pgAdmin's list of servers, in the form that it imports ("Import/Export Servers" in its documentation). */
export function pgadminServers(hosts: readonly string[], role: string): string {
  const servers = Object.fromEntries(
    hosts.map((host, index) => [
      String(index + 1),
      {
        Name: host,
        Group: "odoo-pg",
        Host: host,
        Port: 5432,
        MaintenanceDB: "postgres",
        Username: role,
        // The password file is in the user's own storage; pgAdmin's path is relative to that.
        ConnectionParameters: { sslmode: "require", connect_timeout: 10, passfile: "/.pgpass" },
      },
    ]),
  );
  return `${JSON.stringify({ Servers: servers }, undefined, 2)}\n`;
}
