import { odooPg } from "../../../next-step.ts";
import { certificateWarnings } from "../../../cluster/certificates.ts";
import { isFindingCode } from "../../../model/troubles/troubles.ts";
import {
  serversSeen,
  settingOf,
  observedValues,
  type Evidence,
  type HbaRule,
  type Server,
} from "../evidence.ts";
import { finding, type Figures, type FoundFinding } from "../findings.ts";
import { unset, shownSetting } from "../next-commands.ts";

/** As pg_hba.conf and listen_addresses name this host. */
const LOOPBACK = /^(?:127\.|::1(?:\/|$)|localhost$|samehost$)/;

/** Which clients get in, how, and whether others can listen in. */
export function checkTlsAndHba(evidence: Evidence): FoundFinding[] {
  return [
    ...serversSeen(evidence).flatMap((server) => [
      ...encryption(server),
      ...observedValues(server.hba).flatMap((rules) => hba(server, rules)),
    ]),
    ...certificates(evidence),
  ];
}

function encryption(server: Server): FoundFinding[] {
  const listens = settingOf(server, "listen_addresses");
  const others =
    listens !== undefined &&
    listens.split(",").some((address) => address.trim() !== "" && !LOOPBACK.test(address.trim()));
  if (settingOf(server, "ssl") === "off") {
    if (!others) return [];
    return [
      finding("tls_off", {
        node: server.name,
        message: `${server.name} listens on ${listens} with TLS off.`,
        evidence: { ssl: "off", listen_addresses: listens },
        ...unset(server, "ssl"),
      }),
    ];
  }
  const least = settingOf(server, "ssl_min_protocol_version");
  if (least === undefined || !["", "TLSv1", "TLSv1.1"].includes(least)) return [];
  return [
    finding("tls_old_protocol", {
      node: server.name,
      message: `${server.name} accepts ${least || "every version of TLS"}.`,
      evidence: { ssl_min_protocol_version: shownSetting(server, "ssl_min_protocol_version") },
      ...unset(server, "ssl_min_protocol_version"),
    }),
  ];
}

interface Hole {
  readonly line: number;
  readonly text: string;
}

function hba(server: Server, rules: readonly HbaRule[]): FoundFinding[] {
  const lines = (those: readonly HbaRule[]): Hole[] =>
    those.map((rule) => ({ line: rule.line, text: ruleText(rule) }));
  const rejected = rules.filter(({ method }) => method === "reject");
  const letsIn = rules.filter(({ method, error }) => error === null && method !== "reject");
  const remote = letsIn.filter((rule) => fromOtherHosts(rule));
  // A certificate of the client is a proof of its own.
  const superuser = remote.filter(
    (rule) =>
      rule.users.some((user) => user === "all" || user === "postgres") &&
      !rule.databases.every((database) => database === "replication") &&
      rule.method !== "cert" &&
      !rejected.some(
        (no) =>
          no.line < rule.line &&
          no.address === rule.address &&
          no.users.some((user) => user === "all" || user === "postgres") &&
          no.databases.includes("all"),
      ),
  );
  return [
    ...holes(
      "hba_trust",
      server,
      lines(letsIn.filter(({ method }) => method === "trust")),
      "lets in without a password",
    ),
    ...holes(
      "hba_weak_password",
      server,
      lines(letsIn.filter(({ method }) => ["password", "md5", "ident"].includes(method ?? ""))),
      "asks for a proof that others can steal",
    ),
    ...holes(
      "hba_without_tls",
      server,
      lines(remote.filter(({ type }) => type === "host" || type === "hostnossl" || type === "hostnogssenc")),
      "lets other hosts in without TLS",
    ),
    ...holes("hba_superuser_remote", server, lines(superuser), "lets the superuser in from other hosts"),
    ...holes(
      "hba_error",
      server,
      rules.flatMap(({ line, error }) => (error === null ? [] : [{ line, text: error }])),
      "cannot be read",
    ),
  ];
}

function fromOtherHosts({ type, address }: HbaRule): boolean {
  return type !== null && type.startsWith("host") && address !== null && !LOOPBACK.test(address);
}

function ruleText({ type, databases, users, address, method }: HbaRule): string {
  return [type, databases.join(","), users.join(","), address, method]
    .filter((part) => part !== null)
    .join(" ");
}

function holes(
  code: "hba_trust" | "hba_weak_password" | "hba_without_tls" | "hba_superuser_remote" | "hba_error",
  server: Server,
  those: readonly Hole[],
  does: string,
): FoundFinding[] {
  const [first] = those;
  if (!first) return [];
  const more = those.length > 1 ? ` (and ${those.length - 1} more)` : "";
  return [
    finding(code, {
      node: server.name,
      message: `Line ${first.line} of pg_hba.conf of ${server.name}${more} ${does}: ${first.text}`,
      evidence: {
        lines: those.map(({ line }) => line).join(", "),
        hba_file: shownSetting(server, "hba_file"),
      },
      // odoo-pg writes that file from its configuration.
      next: odooPg("up"),
    }),
  ];
}

/** As status says it, which knows no more of them. */
function certificates({ config, nodes, authorityEnds, now }: Evidence): FoundFinding[] {
  const [authority] = observedValues(authorityEnds);
  const ends = new Map(
    nodes.flatMap(({ name, certificateEnds }) =>
      observedValues(certificateEnds).map((end): [string, number] => [name, end]),
    ),
  );
  return certificateWarnings(config, { authority, nodes: ends }, now).flatMap(
    ({ code, node, message, next_step: next }) =>
      isFindingCode(code)
        ? [
            finding(code, {
              ...(node === null ? {} : { node }),
              message,
              evidence: endsAt(ends, authority),
              next,
            }),
          ]
        : [],
  );
}

function endsAt(ends: ReadonlyMap<string, number>, authority: number | undefined): Figures {
  const all = [...ends, ...(authority === undefined ? [] : [["authority", authority] as const])];
  return Object.fromEntries(all.map(([whose, end]) => [`${whose}_ends_at`, new Date(end).toISOString()]));
}
