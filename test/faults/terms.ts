/** A commit that was acknowledged. Times in milliseconds of our own clock. */
export interface Acknowledged {
  /** Which server committed it. */
  readonly node: string;
  readonly timeline: number;
  readonly sent: number;
  readonly acknowledged: number;
}

/** One stretch during which one server accepted commits. */
export interface Term {
  readonly timeline: number;
  readonly node: string;
  /** Of its first commit, the acknowledgement; of its last, the sending: between them it certainly accepted commits. */
  readonly from: number;
  readonly to: number;
}

/** The stretches, oldest timeline first. */
export function termsOf(commits: readonly Acknowledged[]): readonly Term[] {
  const terms = new Map<string, Term>();
  for (const { timeline, node, sent, acknowledged } of commits) {
    const key = `${timeline} ${node}`;
    const { from, to } = terms.get(key) ?? { from: acknowledged, to: sent };
    terms.set(key, { timeline, node, from: Math.min(from, acknowledged), to: Math.max(to, sent) });
  }
  return [...terms.values()].sort((a, b) => a.timeline - b.timeline || a.from - b.from);
}

/** Where two servers accepted commits at once: each timeline is written by one, and it has ended before the next begins. */
export function overlapsOf(terms: readonly Term[]): readonly (readonly [Term, Term])[] {
  return terms.flatMap((term, index) => {
    const next = terms[index + 1];
    return next && (next.timeline === term.timeline || next.from < term.to) ? [[term, next] as const] : [];
  });
}
