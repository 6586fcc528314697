import { isFindingCode } from "../../../model/troubles/troubles.ts";
import type { Evidence } from "../evidence.ts";
import { finding, type FoundFinding } from "../findings.ts";

/** Whether the hosts are what they should be to each other: what alarms say of it, at once. */
export function checkHosts({ hosts }: Evidence): FoundFinding[] {
  const evidence = { seen_from: hosts?.own ?? null, primary: hosts?.primary ?? null };
  return (hosts?.warnings ?? []).flatMap(({ code, node, message, next_step: next }) =>
    isFindingCode(code)
      ? [finding(code, { ...(node === null ? {} : { node }), message, evidence, next })]
      : [],
  );
}
