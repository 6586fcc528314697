import { beforeAll, describe, test } from "vitest";
import { cannotMakeHosts } from "../lab/lab.ts";
import { type Fault, Stage } from "./scene.ts";

const reason = cannotMakeHosts();
if (reason !== undefined) console.warn(`No hosts are tried: ${reason}.`);

/** The least that survives the loss of a host. Clients are on the replica's. */
const faults: readonly Fault[] = [
  {
    name: "with a witness: the witness lost, and back",
    passes: "no outage",
    happens: ({ lab }) => lab.host("h3").unplug(),
    lasts: 8000,
    ends: ({ lab }) => lab.heal(),
    most: 3000,
  },
  {
    name: "with a witness: the primary's host lost, and back",
    passes: "another host takes over when Patroni's lease of 20 s is over; 0 rows lost, 0 reads stale",
    happens: ({ primary }) => primary.unplug(),
    ends: ({ lab }) => lab.heal(),
    most: 28_000,
  },
  {
    name: "with a witness: the primary's host cut from the replica's, while the witness reaches both",
    passes: "no two hosts accept commits at once; 0 rows lost, 0 reads stale",
    happens: ({ lab, primary, replica }) => lab.part(primary, replica),
    lasts: 12_000,
    ends: ({ lab }) => lab.heal(),
    most: 25_000,
  },
  {
    name: "with a witness: switchover by plan",
    passes: "writes pause 2.5 s at most; 0 rows lost, 0 reads stale",
    happens: async ({ several }) => await several.switchover(),
    most: 4000,
  },
];

describe.skipIf(reason !== undefined)("two hosts with a database and a witness", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.of({ witness: true });
  }, 240_000);

  for (const fault of faults) test(fault.name, async () => await stage.suffers(fault), 200_000);
});
