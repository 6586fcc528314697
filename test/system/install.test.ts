import { expect, test } from "vitest";
import { installOn } from "../../src/system/install.ts";

test.each([
  ["linux", true, "apt-get install -y pgbouncer"],
  ["linux", false, "sudo apt-get install -y pgbouncer"],
  ["darwin", false, "brew install pgbouncer"],
] as const)(
  "what is missing is installed as this system does it: %s, root %s",
  (platform, isRoot, command) => {
    expect(installOn({ platform, isRoot })({ apt: "pgbouncer", brew: "pgbouncer" })).toBe(command);
  },
);
