import { describe, expect, it } from "vitest";
import { readEnvFile } from "../../src/container/env-file.ts";

const read = (text: string) => readEnvFile(text, ["ODOO_PASSWORD", "PGADMIN_PASSWORD"]);

describe("passwords in an .env", () => {
  it.each([
    ["ODOO_PASSWORD=plain", "plain"],
    ["  export ODOO_PASSWORD = with blanks around  ", "with blanks around"],
    ["ODOO_PASSWORD=pa#ss # a comment", "pa#ss"],
    ["ODOO_PASSWORD='it\\'s $HOME # here' # a comment", "it's $HOME # here"],
    ['ODOO_PASSWORD="say \\"a\\tb\\" # here"', 'say "a\tb" # here'],
    ["ODOO_PASSWORD=a=b=c\r\n", "a=b=c"],
    ["ODOO_PASSWORD=first\nODOO_PASSWORD=second", "second"],
  ])("are read as Compose reads them: %s", (text, password) => {
    expect([...read(text).values]).toEqual([["ODOO_PASSWORD", password]]);
    expect(read(text).ambiguous).toEqual([]);
  });

  it.each([
    "",
    "ODOO_PASSWORD=",
    "# ODOO_PASSWORD=no",
    "ODOO_PASSWORD=''",
    "OTHER=1",
    "ODOO_PASSWORD= # none",
  ])("are none where there are none: %s", (text) => expect(read(text).values.size).toBe(0));

  it("are ambiguous where Compose would put in another variable", () => {
    expect(read("ODOO_PASSWORD=pa$ss\nPGADMIN_PASSWORD='pa$ss'").ambiguous).toEqual(["ODOO_PASSWORD"]);
    expect(read('PGADMIN_PASSWORD="${OTHER}"').ambiguous).toEqual(["PGADMIN_PASSWORD"]);
  });
});
