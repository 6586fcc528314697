import { assert, double, property, string } from "fast-check";
import { expect, test } from "vitest";
import { renderExposition } from "../../src/metrics/exposition.ts";
import { parseExposition } from "./exposition-text.ts";
import { promtool } from "./prometheus.ts";

const metrics = new Map([
  ["odoo_pg_first", { type: "gauge", help: "One line\nor two, with a \\." }],
  ["odoo_pg_second_total", { type: "counter", help: "Not told." }],
  ["odoo_pg_third", { type: "untyped", help: "Numbers." }],
] as const);

test("each metric is told once with help and type, in the order of its declaration", () => {
  const text = renderExposition(metrics, [
    { name: "odoo_pg_third", labels: {}, value: -0.5 },
    { name: "odoo_pg_first", labels: { node: "pg1" }, value: 1 },
    { name: "odoo_pg_third", labels: { of: "x", and: "y" }, value: Infinity },
  ]);
  expect(text).toBe(
    [
      "# HELP odoo_pg_first One line\\nor two, with a \\\\.",
      "# TYPE odoo_pg_first gauge",
      'odoo_pg_first{node="pg1"} 1',
      "# HELP odoo_pg_third Numbers.",
      "# TYPE odoo_pg_third untyped",
      "odoo_pg_third -0.5",
      'odoo_pg_third{of="x",and="y"} +Inf',
      "",
    ].join("\n"),
  );
});

test("a metric that is not declared is an error of the program", () => {
  expect(() => renderExposition(metrics, [{ name: "odoo_pg_other", labels: {}, value: 1 }])).toThrow(
    "odoo_pg_other is not declared",
  );
});

test("labels come back as they were, whatever they hold", () => {
  assert(
    property(string({ unit: "binary" }), double({ noNaN: true, noDefaultInfinity: true }), (word, value) => {
      // Prometheus splits lines at \n only.
      const text = renderExposition(metrics, [{ name: "odoo_pg_first", labels: { word }, value }]);
      const [one, ...more] = parseExposition(text);
      return more.length === 0 && one?.labels["word"] === word && one.value === value;
    }),
  );
});

test("promtool reads names of databases that nobody would choose", async () => {
  const names = ['a"b', "a\\b", "a\nb", "ü{}=,", ""];
  const text = renderExposition(
    metrics,
    names.map((word) => ({ name: "odoo_pg_first", labels: { word }, value: 1 })),
  );
  expect(await promtool(["check", "metrics"], text)).toEqual({ exitCode: 0, all: "" });
});
