import { nextStep, odooPg } from "../../../next-step.ts";
import { fixOn, psqlOn } from "../next-commands.ts";
import { quoteIdentifier } from "../../../postgres/sql/quoting.ts";
import {
  observedValues,
  type CatalogSeen,
  type DatabaseListed,
  type Evidence,
  type OdooDatabaseSeen,
  type RoleSeen,
} from "../evidence.ts";
import { finding, type FoundFinding } from "../findings.ts";

/** Collations that order by the bytes or code points of UTF-8, as no library update can change. */
const PLAIN_COLLATIONS = new Set(["C", "POSIX", "C.UTF-8", "C.utf8"]);

/** Whether Odoo's databases, and the template for new ones, are as Odoo needs them. */
export function checkDatabases(evidence: Evidence): FoundFinding[] {
  return observedValues(evidence.catalog).flatMap((catalog) => [
    ...template(evidence, catalog),
    ...observedValues(catalog.databases)
      .flat()
      .flatMap((database) => ofDatabase(evidence, catalog, database)),
  ]);
}

function template(evidence: Evidence, catalog: CatalogSeen): FoundFinding[] {
  const name = evidence.config.odoo.template;
  // Where odoo-pg does not run the primary, the template is not its own either.
  if (evidence.follows) return [];
  return observedValues(catalog.template).flatMap((seen) => {
    const lacks = [
      ...(seen.exists ? [] : ["the database itself"]),
      ...(seen.exists && !seen.is_template ? ["IS_TEMPLATE"] : []),
      ...(seen.exists ? ["pg_trgm", "unaccent"].filter((one) => !seen.extensions.includes(one)) : []),
      ...(seen.extensions.includes("unaccent") && seen.unaccent_volatility !== "i"
        ? ["an IMMUTABLE unaccent"]
        : []),
    ];
    if (lacks.length === 0) return [];
    return [
      finding("template_unfit", {
        database: name,
        message: `The template ${name} for new databases lacks ${lacks.join(", ")}.`,
        evidence: { lacks: lacks.join(", ") },
        next: odooPg("up"),
      }),
    ];
  });
}

function ofDatabase(evidence: Evidence, catalog: CatalogSeen, database: DatabaseListed): FoundFinding[] {
  const inside = observedValues(catalog.each.get(database.name)).flatMap((each) => observedValues(each.odoo));
  const wrongOwners = inside.flatMap((odoo) =>
    odoo === undefined ? [] : owners(evidence, catalog, database, odoo),
  );
  return [
    ...rights(evidence, database),
    ...others(evidence, catalog, database, wrongOwners),
    ...libraryVersion(catalog, database),
    ...wrongOwners,
    ...inside.flatMap((odoo) =>
      odoo === undefined
        ? []
        : [
            ...collation(database),
            ...extensions(evidence, catalog, database, odoo),
            ...unaccent(evidence, catalog, database, odoo),
          ],
    ),
  ];
}

/**
 * Rights by which a role other than a database's owner may act in it; not judged where somebody else runs the primary.
 */
function rights({ config, follows }: Evidence, { name, owner, open_to_all }: DatabaseListed): FoundFinding[] {
  if (follows) return [];
  const ofTemplate = name === config.odoo.template && owner !== "postgres";
  // In database postgres all Odoos call each other.
  const isOpen = open_to_all && name !== "postgres" && name !== "template0";
  return [
    ...(ofTemplate
      ? [
          finding("template_owner_wrong", {
            database: name,
            message: `The template ${name} belongs to ${owner}, who can put anything into every new database.`,
            evidence: { owner },
            next: odooPg("up"),
          }),
        ]
      : []),
    ...(isOpen
      ? [
          finding("database_open", {
            database: name,
            message: `Every role may connect to ${name}.`,
            evidence: { owner },
            next: odooPg("up"),
          }),
        ]
      : []),
  ];
}

/** Roles that own something in another owner's database, except those already reported as wrong owners. */
function others(
  { follows }: Evidence,
  { target: node }: CatalogSeen,
  { name, owner: right, others: roles }: DatabaseListed,
  wrongOwners: readonly FoundFinding[],
): FoundFinding[] {
  // Whose the things in it should be is only known once the database's own owner is right.
  if (follows || wrongOwners.some(({ code }) => code === "database_owner_wrong")) return [];
  const told = new Set(wrongOwners.map(({ evidence }) => evidence["owner"]));
  return roles
    .filter((other) => !told.has(other))
    .map((other) => {
      const whose = `${literal(quoteIdentifier(other))}::regrole`;
      return finding("others_in_database", {
        database: name,
        message: `Role ${other} owns something in ${name}, which belongs to ${right}: what it puts there may run with the rights of ${right}.`,
        evidence: { owner: right, other },
        next: nextStep`see what it is: ${psqlOn(
          node,
          [
            `SELECT relname FROM pg_class WHERE relowner = ${whose} UNION ALL SELECT proname FROM pg_proc WHERE proowner = ${whose}`,
          ],
          name,
        )}`,
      });
    });
}

function libraryVersion(
  { target: node }: CatalogSeen,
  { name, collation_version, library_version }: DatabaseListed,
): FoundFinding[] {
  if (collation_version === null || library_version === null || collation_version === library_version)
    return [];
  return [
    finding("collation_version_changed", {
      database: name,
      message: `The library that sorts for ${name} is now version ${library_version}; its indexes were built with ${collation_version}.`,
      evidence: { recorded: collation_version, library: library_version },
      next: nextStep`at a quiet hour (tables are locked): ${psqlOn(
        node,
        [
          `REINDEX DATABASE ${quoteIdentifier(name)}`,
          `ALTER DATABASE ${quoteIdentifier(name)} REFRESH COLLATION VERSION`,
        ],
        name,
      )}`,
    }),
  ];
}

/** Whose its tables should be is only known once the database's own owner is right. */
function owners(
  evidence: Evidence,
  catalog: CatalogSeen,
  database: DatabaseListed,
  odoo: OdooDatabaseSeen,
): FoundFinding[] {
  const wrong = owner(evidence, catalog, database);
  return wrong.length ? wrong : objects(catalog, database, odoo);
}

function owner(
  { config, follows }: Evidence,
  catalog: CatalogSeen,
  database: DatabaseListed,
): FoundFinding[] {
  return observedValues(catalog.roles).flatMap((roles) => {
    const role = roles.find(({ name }) => name === database.owner);
    if (role && mayOwn(role, config.odoo.role, follows)) return [];
    return [
      finding("database_owner_wrong", {
        database: database.name,
        message: `${database.name} belongs to ${database.owner}${role && !role.login ? ", which may not log in" : ""}: Odoo as ${config.odoo.role} does not see it.`,
        evidence: { owner: database.owner, odoo_role: config.odoo.role },
        ...fixOn(catalog.target, [
          `ALTER DATABASE ${quoteIdentifier(database.name)} OWNER TO ${quoteIdentifier(config.odoo.role)}`,
        ]),
      }),
    ];
  });
}

function mayOwn({ name, login, superuser, createdb }: RoleSeen, odoo: string, follows: boolean): boolean {
  if (!login || (superuser && name !== odoo)) return false;
  // The roles that a primary not run by odoo-pg gives to Odoo are not known here.
  return follows || name === odoo || name === "openerp" || createdb;
}

function objects(
  { target: node }: CatalogSeen,
  { name, owner: right }: DatabaseListed,
  { foreign_objects }: OdooDatabaseSeen,
): FoundFinding[] {
  return foreign_objects.map(({ owner: wrong, objects: count, example }) =>
    finding("objects_owner_wrong", {
      database: name,
      message: `${name}: ${count} ${count === 1 ? "table or view belongs" : "tables and views belong"} to ${wrong}, such as ${example}: Odoo cannot update the modules that they are part of.`,
      evidence: { owner: wrong, objects: count, example },
      ...fixOn(
        node,
        [
          "DO $do$ DECLARE named regclass; BEGIN FOR named IN SELECT oid FROM pg_class " +
            "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') " +
            `AND relowner = ${literal(quoteIdentifier(wrong))}::regrole ` +
            `LOOP EXECUTE 'ALTER TABLE ' || named || ' OWNER TO ${quoteIdentifier(right).replaceAll("'", "''")}'; END LOOP; END $do$`,
        ],
        name,
      ),
    }),
  );
}

function literal(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

function collation({ name, encoding, collation: order }: DatabaseListed): FoundFinding[] {
  if (encoding === "UTF8" && PLAIN_COLLATIONS.has(order)) return [];
  return [
    finding("database_collation", {
      database: name,
      message: `${name} uses collation ${order} in ${encoding}; Odoo creates its databases with C in UTF8.`,
      evidence: { collation: order, encoding },
      next: nextStep`a zip of Odoo is restored with C: export one from a backup, and restore it --as a new name: ${odooPg("backup", "list")}`,
    }),
  ];
}

function extensions(
  evidence: Evidence,
  { target: node }: CatalogSeen,
  { name, owner: right }: DatabaseListed,
  odoo: OdooDatabaseSeen,
): FoundFinding[] {
  const missing = ["pg_trgm", ...(usesUnaccent(evidence) ? ["unaccent"] : [])].filter(
    (extension) => !odoo.extensions.includes(extension),
  );
  if (missing.length === 0) return [];
  return [
    finding("extension_missing", {
      database: name,
      message: `${name} lacks ${missing.join(" and ")}: searches by part of a name read whole tables.`,
      evidence: { missing: missing.join(", ") },
      ...fixOn(
        node,
        [
          // A dump of it says COMMENT ON EXTENSION, which only the extension's owner may.
          `SET ROLE ${quoteIdentifier(right)}`,
          ...missing.map((extension) => `CREATE EXTENSION ${extension} SCHEMA public`),
          "RESET ROLE",
          ...(missing.includes("unaccent")
            ? [
                "ALTER FUNCTION public.unaccent(text) IMMUTABLE",
                `ALTER FUNCTION public.unaccent(text) OWNER TO ${quoteIdentifier(right)}`,
              ]
            : []),
        ],
        name,
      ),
    }),
  ];
}

/** odoo-pg's own lines for odoo.conf turn it on: only an odoo.conf that was read can say that Odoo goes without. */
function usesUnaccent({ odooConf }: Evidence): boolean {
  return observedValues(odooConf).every(({ options }) => options.unaccent);
}

function unaccent(
  evidence: Evidence,
  { target: node }: CatalogSeen,
  { name }: DatabaseListed,
  odoo: OdooDatabaseSeen,
): FoundFinding[] {
  if (odoo.unaccent_volatility === null || !usesUnaccent(evidence)) return [];
  if (odoo.unaccent_volatility !== "i") {
    return [
      finding("unaccent_not_immutable", {
        database: name,
        message: `unaccent(text) in ${name} is not IMMUTABLE: no index can use it.`,
        evidence: { volatility: odoo.unaccent_volatility === "s" ? "STABLE" : "VOLATILE" },
        ...fixOn(node, ["ALTER FUNCTION public.unaccent(text) IMMUTABLE"], name),
      }),
    ];
  }
  if (!odoo.extensions.includes("pg_trgm")) return [];
  const lacking = odoo.searched.filter(
    ({ index, index_has_unaccent }) => index === null || !index_has_unaccent,
  );
  if (lacking.length === 0) return [];
  return [
    finding("unaccent_index_missing", {
      database: name,
      message: `${name} has no trigram index on the unaccented names of ${lacking.map(({ table }) => table).join(", ")}.`,
      evidence: { tables: lacking.map(({ table }) => table).join(", ") },
      ...fixOn(
        node,
        lacking.flatMap(({ table, is_json, index }) => [
          // It has the name that Odoo gives, and would be taken for the right one.
          ...(index === null ? [] : [`DROP INDEX CONCURRENTLY public.${quoteIdentifier(index)}`]),
          `CREATE INDEX CONCURRENTLY ${index === null ? `${table}__name_index` : quoteIdentifier(index)} ON public.${table} USING gin (public.unaccent(${
            is_json ? "(jsonb_path_query_array(name, '$.*'))::text" : "name"
          }) public.gin_trgm_ops)`,
        ]),
        name,
      ),
    }),
  ];
}
