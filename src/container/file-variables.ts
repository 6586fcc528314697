import { PASSWORD_VARIABLES, type Environment } from "../config/environment.ts";

/** Variables of an image that a file may give instead: its path is in the same variable with the suffix `_FILE`. */
const WITH_FILE_FORM: readonly string[] = [
  "POSTGRES_USER",
  "POSTGRES_PASSWORD",
  "POSTGRES_DB",
  "POSTGRES_INITDB_ARGS",
  "SLAVEPASSWORD",
  ...Object.values(PASSWORD_VARIABLES),
];

export interface FileVariables {
  /** From variable to the file that holds its value. */
  readonly files: ReadonlyMap<string, string>;
  readonly problems: readonly string[];
}

/** Finds the variables that come from files. Compose passes on unset variables as empty ones: those do not count. */
export function fileVariables(env: Environment): FileVariables {
  const files = new Map<string, string>();
  const problems: string[] = [];
  for (const name of WITH_FILE_FORM) {
    const file = env[`${name}_FILE`];
    if (!file) continue;
    if (env[name]) problems.push(`${name} and ${name}_FILE are both set, and only one can count: unset one`);
    else if (!file.startsWith("/")) problems.push(`${name}_FILE must be the absolute path of a file`);
    else files.set(name, file);
  }
  return { files, problems };
}

/** The environment with the files' contents instead of their names, and without empty variables. */
export function withFileContents(env: Environment, contents: ReadonlyMap<string, string>): Environment {
  const result: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(env)) {
    const isFileForm = WITH_FILE_FORM.some((known) => name === `${known}_FILE`);
    const isEmpty = value === "" && WITH_FILE_FORM.includes(name);
    if (!isFileForm && !isEmpty) result[name] = value;
  }
  for (const [name, text] of contents) result[name] = text.replace(/\r?\n$/, "");
  return result;
}
