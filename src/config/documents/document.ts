import {
  ENVIRONMENT_ROLES,
  PASSWORD_VARIABLES,
  RESERVED_VARIABLES,
  UNSET_BY_FALSE,
  type EnvironmentRole,
} from "../environment.ts";
import { exampleFile } from "./example.ts";
import { configJsonSchema, itemsOf, type JsonSchema, keysOfSection, typeText } from "./json-schema.ts";
import { yamlInline } from "../yaml-text.ts";

/** docs/configuration.md: every key, the environment variables, and which source wins. */
export function configurationPage(): string {
  const keys = keysOfSection(configJsonSchema());
  return [
    INTRODUCTION,
    "## A complete file",
    "",
    "This is `odoo-pg.example.yaml`. All values are the defaults; what has no fixed default is commented out.",
    "",
    "```yaml",
    exampleFile().trimEnd(),
    "```",
    "",
    "## Keys",
    "",
    ...keys.flatMap(({ name, schema, isRequired }) => keyLines(name, schema, isRequired)),
    ENVIRONMENT,
  ].join("\n");
}

const INTRODUCTION = `<!-- Made from src/config/schema.ts by \`npm run docs\`: change it there. -->

# Configuration

odoo-pg needs no configuration: without a file it runs a cluster \`odoo\` with a primary, a replica and both
endpoints on this host. What you want to change goes into one YAML file.

- **Which file is read:** the one given with \`--config FILE\`; else the one named by \`ODOO_PG_CONFIG\`; else
  \`odoo-pg.yaml\` in the current directory; else none.
- **What wins:** an environment variable overrides the file, the file overrides the default. A mounted
  \`pg_backup.config\` (see \`backup.config_file\`) overrides the file, and the environment overrides that.
  \`odoo-pg config show\` prints every value with its origin.
- **How to check it:** \`odoo-pg config check\` names every mistake with its file and line. A mistake changes
  nothing: the cluster keeps running as it is.
- **How to apply it:** run \`odoo-pg up\` again. Servers are reloaded where that is enough, and restarted only
  where PostgreSQL needs it.
- **Help in the editor:** the first line of the example below names the JSON Schema (\`odoo-pg.schema.json\`)
  for editors with the YAML language server.
- A key may be left out. A section or list with nothing in it counts as left out.
  Anchors and aliases (\`&\`, \`*\`) are not supported.
`;

/** How the roles are called that are not just `role NAME`. */
const REMARKS: Readonly<Partial<Record<EnvironmentRole, string>>> = {
  odoo: "Odoo's role (`odoo.role`)",
  openerp: "role openerp, which may then log in",
};

function passwordRows(): string {
  return ENVIRONMENT_ROLES.flatMap((role) => [
    `| \`${PASSWORD_VARIABLES[role]}\` | password of ${REMARKS[role] ?? `role ${role}`} |`,
    `| \`${PASSWORD_VARIABLES[role]}_FILE\` | file that holds it, over \`password_files.${role}\` |`,
  ]).join("\n");
}

const ENVIRONMENT = `## Environment variables

| variable | meaning |
|---|---|
| \`ODOO_PG_CONFIG\` | the configuration file, when \`--config\` is not given |
| \`PGSQL_<NAME>=value\` | sets the PostgreSQL parameter \`<name>\` (in lower case) on all nodes, over \`postgres.parameters\`; \`PGSQL_WORK_MEM=32MB\` sets \`work_mem\`. The value is taken as it is: no quotes needed. |
${passwordRows()}
| \`BACKUPS=false\` | turns scheduled backups off (\`backup.enabled\`) |
| \`BACKUP_ONLY_FILTER=value\` | backs up only databases whose name contains the value (\`backup.only_filter\`) |

A password variable and its \`_FILE\` form cannot both be set; an empty variable counts as none, and so does the
word \`false\` as a value of ${UNSET_BY_FALSE.map((name) => `\`${name}\``).join(", ")}. A password is
printable ASCII without line breaks: its SCRAM verifier is computed on the client, and programs disagree on how to
encode other characters. A parameter that another key sets is refused here as in the file. Reserved, and not a parameter:
${RESERVED_VARIABLES.map((name) => `\`${name}\``).join(", ")}.
`;

function keyLines(path: string, schema: JsonSchema, isRequired: boolean): string[] {
  const items = itemsOf(schema);
  const [example] = schema.examples ?? [];
  const isSection = schema.properties !== undefined;
  const facts = [
    `- Type: ${typeText(schema)}`,
    ...(isRequired ? ["- Required"] : []),
    ...(schema.default === undefined ? [] : [`- Default: ${code(schema.default)}`]),
    ...(example === undefined ? [] : [`- Example: ${code(example)}`]),
  ];
  const lines = [`### ${path}`, "", schema.description ?? "", "", ...(isSection ? [] : [...facts, ""])];
  const members = isSection
    ? keysOfSection(schema).map((key) => ({ ...key, path: `${path}.${key.name}` }))
    : keysOfSection(items ?? {}).map((key) => ({ ...key, path: `${path}[].${key.name}` }));
  return [...lines, ...members.flatMap((key) => keyLines(key.path, key.schema, key.isRequired))];
}

function code(value: unknown): string {
  return `\`${yamlInline(value)}\``;
}
