import { expect, test } from "vitest";
import { pageFiles } from "../../../src/console/page-files.ts";

const files = pageFiles();

const first = files.filter(({ later }) => !later);

test("what the first look needs weighs less than 100 kB in all, before compression; the rest is loaded later", () => {
  const bytes = first.reduce((sum, { body }) => sum + Buffer.byteLength(body), 0);
  expect(bytes).toBeLessThan(100_000);
});

test("the page loads its script and its style, and nothing is inline", () => {
  const page = files.find(({ path }) => path === "/")?.body ?? "";
  const loaded = [...page.matchAll(/(?:src|href)="(\/[^"]*)"/g)].map(([, path]) => path);
  expect(new Set(loaded)).toEqual(new Set(first.map(({ path }) => path).filter((path) => path !== "/")));
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
    expect(immutable).toBe(/^\/assets\/[\w-]+\.[0-9A-Z]{8}\.(js|css)$/.test(path));
});
