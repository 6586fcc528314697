import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, test } from "vitest";
import { type ThrowawayCluster, throwawayCluster } from "../../support/cluster.ts";
import { type Trouble, meet } from "../../support/planted-trouble.ts";

let cluster: ThrowawayCluster;

beforeAll(async () => {
  cluster = await throwawayCluster({ nodes: 1 });
});

/** Writes the file as a person would who has made a mistake in it. */
const write =
  (...lines: readonly string[]) =>
  (): void =>
    writeFileSync(
      cluster.configFile,
      ["cluster: test", `state_dir: ${cluster.stateDir}`, ...lines, ""].join("\n"),
    );

const troubles: Readonly<Record<string, Trouble>> = {
  "a cluster that was never started": { met: ["logs"], says: "was never started here", brings: "gone" },
  "a command that is misspelt": { met: ["statsu"], says: "There is no command", brings: /test/ },
  "a command of a group that is misspelt": {
    met: ["backup", "lst"],
    says: "There is no command",
    brings: /./,
  },
  "a command that another tool has": { met: ["start"], says: "There is no command", brings: /./ },
  "an option that is misspelt": { met: ["status", "--wathc"], says: "has no option", brings: /NODE +ROLE/ },
  "an operand that is missing": { met: ["db", "copy", "shop"], says: "Error (usage)", brings: /Usage/ },
  "an operand too many": { met: ["status", "pg1", "pg2"], says: "Error (usage)", brings: /Usage/ },
  "a number of lines that is none": { met: ["logs", "--lines", "many"], says: "Error (usage)", brings: /./ },
  "a key that is misspelt": {
    plant: write("endponts:", "  read: { port: 1 }"),
    met: ["status"],
    says: "endponts",
    brings: "words",
    before: () => cluster.configure({}),
  },
  "many keys that are misspelt": {
    plant: write(...Array.from({ length: 30 }, (_, at) => `key_that_is_misspelt_${at}: 1`)),
    met: ["up"],
    says: "key_that_is_misspelt_0",
    brings: "words",
    before: () => cluster.configure({}),
  },
  "a value of the wrong kind": {
    plant: write("nodes:", "  - { name: pg1, port: many }"),
    met: ["up"],
    says: "port",
    brings: "words",
    before: () => cluster.configure({}),
  },
  "a file that is no YAML": {
    plant: write("nodes: [ {"),
    met: ["up"],
    says: "Error (config_invalid)",
    brings: "words",
    before: () => cluster.configure({}),
  },
  "a file that is not there": {
    plant: () => rmSync(cluster.configFile),
    met: ["up"],
    says: "There is no configuration file",
    brings: "words",
    before: () => cluster.configure({}),
  },
  "a program that is missing": {
    plant: () => cluster.configure({ haproxy: { program: "/nowhere/haproxy" } }),
    met: ["up"],
    says: "Error (haproxy_missing)",
    brings: "words",
    before: () => cluster.configure({}),
  },
  "a PostgreSQL that is missing": {
    plant: () => cluster.configure({ postgres: { version: 99 } }),
    met: ["up"],
    says: "Error (postgres_missing)",
    brings: "words",
    before: () => cluster.configure({}),
  },
  "a state directory that cannot be made": {
    plant: () => cluster.configure({ state_dir: `${cluster.configFile}/state` }),
    met: ["up"],
    says: "Error (state_dir_unusable)",
    brings: "words",
    before: () => cluster.configure({}),
  },
  "a folder of data that holds something else": {
    plant: () => {
      const place = join(cluster.folder, "data");
      mkdirSync(place);
      writeFileSync(join(place, "notes.txt"), "mine");
      const [port] = cluster.ports.nodes;
      cluster.configure({
        nodes: [
          { name: "pg1", port },
          { name: "pg2", port: cluster.ports.spare, data_dir: place },
        ],
      });
    },
    met: ["up"],
    says: "Error (data_directory_unusable)",
    brings: "words",
    before: () => cluster.configure({}),
  },
  "a user that there is not": {
    plant: () => cluster.configure({ user: "nosuchuser" }),
    met: ["up"],
    says: "nosuchuser",
    brings: "words",
    before: () => cluster.configure({}),
  },
  "a configuration that others may change": {
    plant: () => {
      cluster.configure({});
      chmodSync(cluster.configFile, 0o666);
    },
    met: ["status"],
    says: "Error (",
    brings: "words",
    before: () => chmodSync(cluster.configFile, 0o644),
  },
};

test.each(Object.entries(troubles))("%s", async (_, trouble) => void (await meet(cluster, trouble)));
