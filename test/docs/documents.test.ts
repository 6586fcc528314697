import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { ERRORS } from "../../src/errors.ts";
import { commandsIn } from "../support/help.ts";
import { runProgram } from "../support/program.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const documents = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

function read(file: string): string {
  return readFileSync(join(root, file), "utf8");
}

/** The text without blocks of output and commands. */
function prose(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, "");
}

/** The anchors of a page, as GitHub makes them from its headings. */
function anchorsOf(text: string): string[] {
  return [...prose(text).matchAll(/^#+ (.*)$/gm)].map((match) =>
    (match[1] ?? "")
      .trim()
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** Targets of the links of a page that lead to this repository. */
function linksOf(text: string): string[] {
  return [...prose(text).matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => match[1] ?? "")
    .filter((target) => !/^[a-z]+:/.test(target));
}

test.each(documents)("every link of %s leads to a file and a heading that exist", (document) => {
  const dead = linksOf(read(document)).filter((link) => {
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? document : join(dirname(document), path);
    if (!existsSync(join(root, target))) return true;
    return anchor !== undefined && !anchorsOf(read(target)).includes(anchor);
  });
  expect(dead).toEqual([]);
});

test("every file and folder that the architecture names exists", () => {
  const named = [
    ...read("docs/architecture.md").matchAll(/`((?:src|test|bench|scripts|docs|docker)\/[^`\s]*)`/g),
  ].map((match) => match[1] ?? "");
  expect(named.length).toBeGreaterThan(40);
  expect(named.filter((file) => !existsSync(join(root, file)))).toEqual([]);
});

test("every folder of the sources stands in the architecture's table", () => {
  const text = read("docs/architecture.md");
  const folders = readdirSync(join(root, "src"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => `\`src/${name}/\``);
  expect(folders.filter((folder) => !text.includes(folder))).toEqual([]);
});

test("every file beside the folders of the sources stands in the architecture", () => {
  const text = read("docs/architecture.md");
  const files = readdirSync(join(root, "src"), { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => `\`src/${name}\``);
  expect(files.length).toBeGreaterThan(3);
  expect(files.filter((file) => !text.includes(file))).toEqual([]);
});

test("a row of the architecture's table names files of its own folder to begin at", () => {
  const rows = read("docs/architecture.md").matchAll(/^\| `(src\/[a-z]+\/)`\s*\|.*\|([^|]+)\|$/gm);
  const named = [...rows].flatMap(([, folder = "", files = ""]) =>
    [...files.matchAll(/`([^`]+)`/g)].map(([, file = ""]) => `${folder}${file}`),
  );
  expect(named.length).toBeGreaterThan(30);
  expect(named.filter((file) => !existsSync(join(root, file)))).toEqual([]);
});

describe("docs/errors.md", () => {
  const text = read("docs/errors.md");

  test.each(Object.keys(ERRORS))("explains the error %s", (code) => {
    expect(anchorsOf(text)).toContain(code);
  });
});

test("every command of --help is told of in the README or in docs/operations.md", async () => {
  const { stdout } = await runProgram(["--help"], { home: temporaryFolder() });
  const commands = commandsIn(stdout);
  expect(commands).toContain("switchover");
  const text = read("README.md") + read("docs/operations.md");
  expect(commands.filter((name) => !new RegExp(`odoo-pg ${name}\\b`).test(text))).toEqual([]);
});
