import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OdooPgError } from "../src/errors.ts";
import {
  afterCall,
  command,
  nextStep,
  odooPg,
  onlyCommand,
  printNext,
  sameCommand,
  withConfig,
} from "../src/next-step.ts";
import { nextStepOrWords } from "../src/next-step-schema.ts";
import { errorFromEvent, errorSchema } from "../src/progress.ts";

const back = nextStep`Bring ${"pg2"} back (${odooPg("up")}), or accept the loss: ${odooPg("promote", "pg2")}`;

describe("a next step", () => {
  test("is printed as it reads, each command for the configuration that was named", () => {
    expect(printNext(back)).toBe("Bring pg2 back (odoo-pg up), or accept the loss: odoo-pg promote pg2");
    expect(printNext(withConfig(back, "/etc/my prod.yaml"))).toBe(
      "Bring pg2 back (odoo-pg up --config '/etc/my prod.yaml'), or accept the loss: odoo-pg promote pg2 --config '/etc/my prod.yaml'",
    );
  });

  test("names the configuration before what is for another program, and for odoo-pg alone", () => {
    const psql = nextStep`${odooPg("psql", "pg1", "--", "-c", "SELECT 1")}, or ${command("df", "-h", "/a b")}`;
    expect(printNext(withConfig(psql, "x.yaml"))).toBe(
      "odoo-pg psql pg1 --config x.yaml -- -c 'SELECT 1', or df -h '/a b'",
    );
  });

  test("is one command only where there is no word beside it", () => {
    expect(onlyCommand(nextStep`${odooPg("up")}`)).toEqual(odooPg("up"));
    expect(onlyCommand(nextStep`${odooPg("up")}.`)).toBeUndefined();
    expect(onlyCommand(nextStep`${odooPg("down")} && ${odooPg("up")}`)).toBeUndefined();
    expect(onlyCommand(["odoo-pg up"])).toBeUndefined();
  });

  test("takes another as a part of its own", () => {
    expect(nextStep`Then: ${back}!`).toEqual(["Then: Bring pg2 back (", ...back.slice(1), "!"]);
  });

  test("that is the same command with other flags is complete where it is known what was called", () => {
    const called = ["restore", "a b.zip", "--as", "shop", "--config=x.yaml", "--keep-old", "--neutralize"];
    const step = nextStep`replace it: ${sameCommand(["--replace", "shop"], ["--as=", "--keep-old"])}`;
    expect(printNext(withConfig(afterCall(step, called), "x.yaml"))).toBe(
      "replace it: odoo-pg restore 'a b.zip' --neutralize --replace shop --config x.yaml",
    );
    expect(printNext(step)).toBe(
      "replace it: the same command without --as and --keep-old with --replace shop",
    );
    const error = new OdooPgError("refused", { message: "m", next: step });
    expect(errorFromEvent(errorSchema.parse(JSON.parse(JSON.stringify(error)))).next).toEqual(step);
    expect(error.toDocument(undefined, called).next).toContain("odoo-pg restore 'a b.zip' --neutralize");
  });

  test("crosses a socket as what it is, and as plain words from the version before", () => {
    const parts = fc.oneof(
      fc.string(),
      fc.array(fc.string()).map((args) => odooPg(...args)),
    );
    fc.assert(
      fc.property(fc.array(parts, { minLength: 1 }), (step) => {
        const error = new OdooPgError("refused", { message: "m", next: step });
        const arrived = errorFromEvent(errorSchema.parse(JSON.parse(JSON.stringify(error))));
        expect(arrived.next).toEqual(step);
      }),
    );
    expect(errorFromEvent({ code: "refused", message: "m", next: "odoo-pg up" }).next).toEqual([
      "odoo-pg up",
    ]);
    expect(nextStepOrWords.parse("odoo-pg up")).toEqual(["odoo-pg up"]);
  });
});

test("no command in a next step is followed by a word: a reader would not see where it ends", () => {
  const hidden = sources("src").flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/(?:odooPg|command)\([^`]*?\)\} +[a-z(][^`]*`/g)].map(
      ([text]) => `${file}: ${text}`,
    ),
  );
  expect(hidden).toEqual([]);
});

test("no next step of the program hides a command in its words", () => {
  const hidden = sources("src").flatMap((file) =>
    [
      ...readFileSync(file, "utf8").matchAll(
        /\bnext: *(?:nextStep)?(["'`])(?:(?!\1).)*odoo-pg (?:[a-z]+ )*[a-z]+/g,
      ),
    ]
      .map(([text]) => `${file}: ${text}`)
      .filter((text) => COMMANDS.test(text)),
  );
  expect(hidden).toEqual([]);
});

const COMMANDS =
  /odoo-pg (?:up|down|status|logs|psql|switchover|promote|rejoin|reseed|destroy|doctor|tune|history|events|console|backup|restore|db|role|sessions|config|replication|alarms|compose)\b/;

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => /\.tsx?$/.test(file))
    .map((file) => path.join(folder, file));
}
