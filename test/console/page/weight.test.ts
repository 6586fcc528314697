import { expect, test } from "vitest";
import { pageFiles } from "../../../src/console/page-files.ts";

const files = pageFiles();

test("page, script and style weigh less than 100 kB in all, before compression", () => {
  const bytes = files.reduce((sum, { body }) => sum + Buffer.byteLength(body), 0);
  expect(bytes).toBeLessThan(100_000);
});

test("the page loads its script and its style, and nothing is inline", () => {
  const page = files.find(({ path }) => path === "/")?.body ?? "";
  const loaded = [...page.matchAll(/(?:src|href)="(\/[^"]*)"/g)].map(([, path]) => path);
  expect(new Set(loaded)).toEqual(new Set(files.map(({ path }) => path).filter((path) => path !== "/")));
  expect(page).not.toMatch(/<style|<script>|style=|onclick=/);
});

test("nothing names another host", () => {
  const names = files.flatMap(({ body }) =>
    [...body.matchAll(/(?:https?:)?\/\/[\w.-]+\.\w+[^\s"'`]*/g)].map(String),
  );
  // Names of XML vocabularies are not addresses: nobody fetches them.
  expect(names.filter((name) => !name.startsWith("http://www.w3.org/"))).toEqual([]);
});

test("a file whose path holds its hash may be kept for ever, the page may not", () => {
  for (const { path, immutable } of files)
    expect(immutable).toBe(/^\/assets\/console\.[0-9a-f]{12}\./.test(path));
});
