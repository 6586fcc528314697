import type { JSX } from "preact";
import { odooPg } from "../../../next-step.ts";
import { InWords } from "../parts/next.tsx";
import { useReading } from "../read.ts";
import { Frame, Reads } from "./frame.tsx";

/** What is shown of `odoo-pg role list --json`. */
interface Roles {
  readonly roles: readonly {
    readonly name: string;
    readonly login: boolean;
    readonly createdb: boolean;
    readonly superuser: boolean;
    readonly has_password: boolean;
    readonly member_of: readonly string[];
    /** Databases that it owns. */
    readonly databases: readonly string[];
  }[];
}

/** Who may log in, and who owns the databases: each Odoo with a role of its own is a separate tenant. */
export function Roles(): JSX.Element {
  const read = useReading<Roles>({ what: "roles" });
  return (
    <Frame
      title="Roles"
      words="Who may log in, and who owns each database. A tenant is a role with databases of its own."
    >
      <Reads read={read}>
        {({ roles }) => (
          <table class="roles">
            <thead>
              <tr>
                <th scope="col">Role</th>
                <th scope="col">May log in</th>
                <th scope="col">May create databases</th>
                <th scope="col">Member of</th>
                <th scope="col">Owns</th>
              </tr>
            </thead>
            <tbody>
              {roles.map((role) => (
                <tr key={role.name}>
                  <th scope="row">
                    {role.name}
                    {role.superuser && <small>superuser, never through the endpoints</small>}
                  </th>
                  <td data-label="May log in">
                    {role.login ? (role.has_password ? "yes" : "without a password") : "no"}
                  </td>
                  <td data-label="May create">{role.createdb ? "yes" : "no"}</td>
                  <td data-label="Member of">{role.member_of.join(", ") || "–"}</td>
                  <td data-label="Owns">{role.databases.join(", ") || "–"}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </Reads>
      <p class="quiet">
        Another tenant: <InWords command={odooPg("role", "create", "NAME")} />, on the server, because its
        password is shown once and kept nowhere.
      </p>
    </Frame>
  );
}
