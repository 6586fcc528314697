import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { newToken, showInvitation } from "../../src/hosts/joining/tokens.ts";
import { runProgram } from "../support/program.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test.each([["upstream: { host: 192.0.2.9 }", "no `upstream`"]])(
  "a host whose own file has %s does not join, and keeps nothing of it",
  async (line, instead) => {
    const folder = temporaryFolder();
    const file = join(folder, "odoo-pg.yaml");
    writeFileSync(file, `cluster: shop\nstate_dir: ${folder}/s\n${line}\n`);
    const invitation = showInvitation({
      host: "192.0.2.1",
      port: 5051,
      secret: newToken(0).secret,
      pin: "ab".repeat(32),
    });
    const { exitCode, stderr } = await runProgram(
      ["join", invitation, "--address", "127.0.0.1", "--config", file],
      { home: folder },
    );
    expect(exitCode).toBe(1);
    expect(stderr).toContain("Not with several hosts");
    expect(stderr).toContain(instead);
    expect(stderr).not.toContain(invitation.split("#")[1]);
    expect(existsSync(join(folder, "s"))).toBe(false);
  },
);
