import { serversSeen, observedValues, tellsForAll, type Evidence } from "../evidence.ts";
import { finding, type FoundFinding } from "../findings.ts";

/** Seconds by which a server's clock may differ from ours, and from its primary's: there the network counts too. */
const FROM_OURS = 2;
const FROM_PRIMARY = 5;

/** Whether clocks agree. */
export function checkClock(evidence: Evidence): FoundFinding[] {
  return [...ofServers(evidence), ...ofOtherHosts(evidence)];
}

/** From the reports of the other hosts' agents; reported once, on the primary's host. */
function ofOtherHosts(evidence: Evidence): FoundFinding[] {
  const { hosts } = evidence;
  if (!hosts || !tellsForAll(evidence)) return [];
  return hosts.others.flatMap(({ name, aheadSeconds: ahead }) =>
    ahead !== undefined && Math.abs(ahead) > FROM_OURS ? [skew(name, ahead, `that of ${hosts.own}`)] : [],
  );
}

function ofServers(evidence: Evidence): FoundFinding[] {
  return serversSeen(evidence).flatMap(({ name, clock }) =>
    observedValues(clock).flatMap(({ ahead_seconds: ahead, since_sent_seconds: sent }) => {
      if (Math.abs(ahead) > FROM_OURS) return [skew(name, ahead, "this host's")];
      return sent !== null && Math.abs(sent) > FROM_PRIMARY ? [skew(name, sent, "its primary's")] : [];
    }),
  );
}

function skew(name: string, seconds: number, whose: string): FoundFinding {
  return finding("clock_skew", {
    node: name,
    message: `The clock of ${name} is ${Math.abs(seconds).toFixed(1)} s ${seconds > 0 ? "ahead of" : "behind"} ${whose}.`,
    evidence: { ahead_seconds: seconds },
    next: "let a time service set both clocks (chrony, systemd-timesyncd), and check: timedatectl",
  });
}
