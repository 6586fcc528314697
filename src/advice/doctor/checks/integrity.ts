import { nextStep, odooPg } from "../../../next-step.ts";
import { unset } from "../next-commands.ts";
import { shellWord } from "../../../shell-word.ts";
import { serversSeen, settingOf, observedValues, type Evidence } from "../evidence.ts";
import { finding, type FoundFinding } from "../findings.ts";

const IGNORING = ["zero_damaged_pages", "ignore_checksum_failure", "ignore_system_indexes"] as const;

/** Whether damage to the data would be noticed, and whether there is any. */
export function checkIntegrity(evidence: Evidence): FoundFinding[] {
  return [
    ...serversSeen(evidence).flatMap((server) => {
      const found: FoundFinding[] = [];
      if (settingOf(server, "data_checksums") === "off") {
        found.push(
          finding("checksums_off", {
            node: server.name,
            message: `The data pages of ${server.name} have no checksums: damage by the disk goes unnoticed.`,
            evidence: { data_checksums: "off" },
            // It refuses while the server runs, and goes through all data: on every node, while all are stopped.
            next: evidence.hosts
              ? nextStep`on each host in turn, this one first if it is a replica: stop it, run pg_checksums --enable -D ${shellWord(server.dataDir)} there as the servers' user, and start it again with odoo-pg up; begin with: ${odooPg("down")}`
              : nextStep`stop the cluster, run pg_checksums --enable -D ${shellWord(server.dataDir)} as the servers' user (on every node without them), and start it again; first: ${odooPg("down")}`,
          }),
        );
      }
      for (const name of IGNORING) {
        if (settingOf(server, name) !== "on") continue;
        found.push(
          finding("damage_ignored", {
            node: server.name,
            message: `${server.name} runs with ${name} on.`,
            evidence: { [name]: "on" },
            ...unset(server, name),
          }),
        );
      }
      return found;
    }),
    ...failures(evidence),
  ];
}

function failures({ catalog }: Evidence): FoundFinding[] {
  return observedValues(catalog)
    .flatMap(({ databases }) => observedValues(databases))
    .flat()
    .filter(({ checksum_failures }) => checksum_failures > 0)
    .map(({ name, checksum_failures }) =>
      finding("checksum_failures", {
        database: name,
        message: `${checksum_failures} ${checksum_failures === 1 ? "page" : "pages"} of ${name} had a wrong checksum when read: data is damaged.`,
        evidence: { checksum_failures },
        next: nextStep`keep every backup, and switch over to a replica on another disk: ${odooPg("switchover", "--dry-run")}`,
      }),
    );
}
