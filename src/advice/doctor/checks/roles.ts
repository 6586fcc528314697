import { nextStep, odooPg } from "../../../next-step.ts";
import { fixOn, psqlOn } from "../next-commands.ts";
import { quoteIdentifier } from "../../../postgres/sql/quoting.ts";
import { observedValues, type CatalogSeen, type Evidence, type RoleSeen } from "../evidence.ts";
import { finding, type FoundFinding } from "../findings.ts";

/** Rights of roles that go too far, and rights that Odoo's role lacks. */
export function checkRoles(evidence: Evidence): FoundFinding[] {
  return observedValues(evidence.catalog).flatMap((catalog) =>
    observedValues(catalog.roles).flatMap((roles) => {
      const odoo = odooRoles(evidence, catalog, roles);
      return [
        ...superusers(catalog, roles, odoo),
        ...cutOff(catalog, roles, odoo),
        ...hashes(catalog, roles),
      ];
    }),
  );
}

/** Roles that Odoos connect as, as far as can be seen. */
function odooRoles(
  { config, odooConf }: Evidence,
  catalog: CatalogSeen,
  roles: readonly RoleSeen[],
): Set<string> {
  const databases = observedValues(catalog.databases).flat();
  const owners = databases.flatMap(({ name, owner }) => {
    const inside = observedValues(catalog.each.get(name)).flatMap((database) =>
      observedValues(database.odoo),
    );
    // One that belongs to postgres has the wrong owner: that is another finding.
    return owner !== "postgres" && inside.some((odoo) => odoo !== undefined) ? [owner] : [];
  });
  const named = observedValues(odooConf).flatMap(({ options }) => options.db_user ?? []);
  const members = roles
    .filter(({ createdb, login, superuser }) => createdb && login && !superuser)
    .map(({ name }) => name);
  return new Set([config.odoo.role, ...owners, ...named, ...members]);
}

function superusers(
  { target: node }: CatalogSeen,
  roles: readonly RoleSeen[],
  odoo: ReadonlySet<string>,
): FoundFinding[] {
  return roles.flatMap(({ name, superuser, login }) => {
    if (!superuser || !(login || odoo.has(name))) return [];
    if (name === "postgres") {
      if (!odoo.has(name)) return [];
      return [
        finding("odoo_role_superuser", {
          message: "Odoo connects as postgres, the superuser: a hole in Odoo becomes a hole in this host.",
          evidence: { role: name },
          next: nextStep`give Odoo its own role; the lines for odoo.conf: ${odooPg("odoo-conf")}`,
        }),
      ];
    }
    return [
      finding(odoo.has(name) ? "odoo_role_superuser" : "more_superusers", {
        message: odoo.has(name)
          ? `${name}, a role of Odoo, is a superuser: a hole in Odoo becomes a hole in this host.`
          : `${name} is a superuser that may log in.`,
        evidence: { role: name },
        next: psqlOn(node, [`ALTER ROLE ${quoteIdentifier(name)} NOSUPERUSER`]),
      }),
    ];
  });
}

function cutOff(
  { target: node }: CatalogSeen,
  roles: readonly RoleSeen[],
  odoo: ReadonlySet<string>,
): FoundFinding[] {
  return roles
    .filter(({ name, login, reaches_postgres }) => odoo.has(name) && login && !reaches_postgres)
    .map(({ name }) =>
      finding("odoo_role_cut_off", {
        message: `${name}, a role of Odoo, may not connect to the database postgres: scheduled actions start late, and chat is not live.`,
        evidence: { role: name },
        ...fixOn(node, [`GRANT CONNECT ON DATABASE postgres TO ${quoteIdentifier(name)}`]),
      }),
    );
}

function hashes({ target: node }: CatalogSeen, roles: readonly RoleSeen[]): FoundFinding[] {
  return roles
    .filter(({ password }) => password === "md5")
    .map(({ name }) =>
      finding("password_md5", {
        message: `The password of ${name} is stored as MD5.`,
        evidence: { role: name },
        next: nextStep`set a new one in psql: \\password ${name}; start psql with: ${odooPg("psql", node)}`,
      }),
    );
}
