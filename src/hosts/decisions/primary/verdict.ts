import { majorityOf, wantedVoters } from "../../../consensus/voters.ts";
import type { ClusterDocument } from "../../documents/record.ts";
import type { Obstacle } from "../../documents/report.ts";
import type { StoreView } from "../../documents/store-view.ts";

/** Whether another host would take over, and what a person should know even if one would. */
export interface FailoverVerdict {
  readonly obstacles: readonly Obstacle[];
  /** Hosts whose loss would leave no majority, or no host to take over; empty where any single one may be lost. */
  readonly away: readonly string[];
}

export interface VerdictInput {
  readonly document: Pick<ClusterDocument, "hosts">;
  readonly store: StoreView | undefined;
  readonly storeAnswers: boolean;
  /** Names of hosts whose member votes. */
  readonly voters: readonly string[];
  /** Names of hosts that answer. */
  readonly answering: readonly string[];
}

/** Whether another host would take over by itself if the primary's were lost now, and if not, why. */
export function failoverVerdict(input: VerdictInput): FailoverVerdict {
  const { document, store, storeAnswers, voters, answering } = input;
  const voting = document.hosts.filter(({ role }) => role !== "endpoints");
  const databases = document.hosts.filter(({ role }) => role === "database");
  const wanted = wantedVoters(voting);
  const replicas = databases.filter(({ name }) => name !== store?.leader);
  const synchronous = replicas.filter(({ name }) => store?.synchronous.includes(name));
  const obstacles: Obstacle[] = [];
  if (databases.length < 2) obstacles.push("one_database_host");
  if (voting.length < 3) obstacles.push("needs_three_hosts");
  else if (voters.length < wanted.length) obstacles.push("votes_not_settled");
  if (!storeAnswers) obstacles.push("no_majority");
  else {
    if (store?.leader === undefined) obstacles.push("no_primary");
    if (store?.paused === true) obstacles.push("paused");
    if (databases.length > 1 && !synchronous.length) obstacles.push("no_synchronous_replica");
    // Without the primary's host the others must still be more than half.
    const left = voters.filter((name) => name !== store?.leader && answering.includes(name));
    if (voters.length >= 3 && left.length < majorityOf(voters.length)) obstacles.push("no_majority");
  }
  // The loss of a host with endpoints alone does not matter to the others.
  const away = voting.filter(({ name }) => !answering.includes(name)).map(({ name }) => name);
  return { obstacles: [...new Set(obstacles)], away };
}

/** An obstacle in words, and what to do. */
export const OBSTACLES: Readonly<Record<Obstacle, string>> = {
  unknown: "for a reason that this version of odoo-pg does not know: see status on another host",
  one_database_host: "only one host has a database: join another",
  needs_three_hosts:
    "two hosts cannot tell a lost host from a cut line: join a third, be it a witness (odoo-pg join … --witness)",
  votes_not_settled: "not every host that should vote does yet",
  no_majority: "fewer than half of the voting hosts would be left",
  paused: "it is paused: odoo-pg resume",
  no_primary: "there is no primary now",
  no_synchronous_replica: "no replica has all that was acknowledged",
};
