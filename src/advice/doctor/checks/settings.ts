import { unset } from "../next-commands.ts";
import { serversSeen, settingOf, type Evidence } from "../evidence.ts";
import type { FindingCode } from "../../../model/troubles/troubles.ts";
import { finding, type FoundFinding } from "../findings.ts";

const UNSAFE: readonly { readonly name: string; readonly code: FindingCode; readonly so: string }[] = [
  { name: "fsync", code: "fsync_off", so: "after a power cut its data may be beyond repair" },
  {
    name: "full_page_writes",
    code: "full_page_writes_off",
    so: "a page that a crash leaves half written stays broken",
  },
  {
    name: "synchronous_commit",
    code: "commits_not_flushed",
    so: "a crash loses the last commits, which users have seen succeed",
  },
];

/** Settings that trade the data for speed. */
export function checkSettings(evidence: Evidence): FoundFinding[] {
  return serversSeen(evidence).flatMap((server) =>
    UNSAFE.filter(({ name }) => settingOf(server, name) === "off").map(({ name, code, so }) =>
      finding(code, {
        node: server.name,
        message: `${server.name} runs with ${name} off: ${so}.`,
        evidence: { [name]: "off" },
        ...unset(server, name),
      }),
    ),
  );
}
