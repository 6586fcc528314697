import type { Config } from "../config/schema.ts";
import { authorityPath, layoutOf } from "../config/layout.ts";
import { showSeconds } from "../model/quantities.ts";
import { warning, type FoundWarning } from "../model/warnings.ts";
import { command, nextStep, odooPg, type NextText } from "../next-step.ts";

/** Milliseconds before its end from which on a certificate is said. */
const SOON = 30 * 86_400_000;

/** When certificates end, milliseconds since the epoch. What is not known is left out. */
export interface CertificateEnds {
  /** That of the authority, by which clients verify the servers. */
  readonly authority: number | undefined;
  readonly nodes: ReadonlyMap<string, number>;
}

/** Certificates that have ended, or end soon: each once, whichever nodes have it. @param now milliseconds since the epoch */
export function certificateWarnings(
  { tls, state_dir }: Pick<Config, "tls" | "state_dir">,
  { authority, nodes }: CertificateEnds,
  now: number,
): FoundWarning[] {
  const together = new Map<number, string[]>();
  for (const [name, end] of nodes)
    if (end - now <= SOON) together.set(end, [...(together.get(end) ?? []), name]);
  const renewed: NextText = tls
    ? nextStep`put a new one where tls.certificate and tls.key say, then: ${odooPg("up")}`
    : odooPg("up");
  const file = authorityPath(layoutOf(state_dir));
  const remade: NextText = tls
    ? nextStep`put another one where tls.ca says, then: ${odooPg("up")}`
    : nextStep`make another one, and give it to the clients that verify it: ${command("rm", file)}, then ${odooPg("up")}`;
  return [
    ...[...together].map(([end, names]) =>
      ended(`The certificate of ${names.join(", ")}`, names, end - now, renewed),
    ),
    ...(authority !== undefined && authority - now <= SOON
      ? [ended("The authority that signs the servers' certificates", [], authority - now, remade)]
      : []),
  ];
}

function ended(what: string, names: readonly string[], left: number, next: NextText): FoundWarning {
  const [name] = names;
  const node = names.length === 1 && name !== undefined ? { node: name } : {};
  return left <= 0
    ? warning("certificate_expired", {
        ...node,
        message: `${what} expired ${showSeconds(-left / 1000)} ago: who verifies it cannot connect.`,
        next,
      })
    : warning("certificate_expiring", {
        ...node,
        message: `${what} expires in ${showSeconds(left / 1000)}: who verifies it cannot connect then.`,
        next,
      });
}
