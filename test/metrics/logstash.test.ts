import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { replicationLogLine, type ReplicaReport } from "../../src/cluster/replication.ts";

/** Patterns of logstash-patterns-core 4.3.4 (patterns/ecs-v1/grok-patterns), as far as the sample uses them. */
const PATTERNS: Readonly<Record<string, string>> = {
  WORD: String.raw`\b\w+\b`,
  INT: "(?:[+-]?(?:[0-9]+))",
  NUMBER: String.raw`(?:(?<![0-9.+-])(?:[+-]?(?:(?:[0-9]+(?:\.[0-9]+)?)|(?:\.[0-9]+))))`,
  DATA: ".*?",
  GREEDYDATA: "[^]*",
  YEAR: String.raw`(?:\d\d){1,2}`,
  MONTHNUM: "(?:0?[1-9]|1[0-2])",
  MONTHDAY: "(?:(?:0[1-9])|(?:[12][0-9])|(?:3[01])|[1-9])",
  HOUR: "(?:2[0123]|[01]?[0-9])",
  MINUTE: "(?:[0-5][0-9])",
  SECOND: "(?:(?:[0-5]?[0-9]|60)(?:[:.,][0-9]+)?)",
  TIME: "(?<![0-9])%{HOUR}:%{MINUTE}(?::%{SECOND})(?![0-9])",
  ISO8601_TIMEZONE: "(?:Z|[+-]%{HOUR}(?::?%{MINUTE}))",
  TIMESTAMP_ISO8601:
    "%{YEAR}-%{MONTHNUM}-%{MONTHDAY}[T ]%{HOUR}:?%{MINUTE}(?::?%{SECOND})?%{ISO8601_TIMEZONE}?",
};

/** A grok pattern as a regular expression. */
function expressionOf(grok: string): RegExp {
  let text = grok;
  while (text.includes("%{"))
    text = text.replaceAll(
      /%\{(\w+)(?::(\w+))?(?::\w+)?\}/g,
      (_, name: string, field: string | undefined) => {
        const pattern = PATTERNS[name];
        if (pattern === undefined)
          throw new Error(`The sample uses %{${name}}, which this test does not know.`);
        return field === undefined ? `(?:${pattern})` : `(?<${field}>${pattern})`;
      },
    );
  return new RegExp(text, "u");
}

const sample = readFileSync(new URL("../../monitoring/logstash.conf", import.meta.url), "utf8");
const [ofReplication, ofServers] = [...sample.matchAll(/"message" => "(.*)" \}/g)].map(([, grok = ""]) =>
  expressionOf(grok),
);

const at = "2026-11-28T16:00:00.000Z";
const replica: ReplicaReport = {
  name: "pg2",
  answers: true,
  delay_seconds: null,
  receiver: "streaming",
  replay_paused: false,
  backend_start: null,
  sync_state: null,
  sent_lag_bytes: null,
  lag_segments: null,
  slot: null,
  lag_bytes: 0,
  lag_seconds: 1.25,
  last_replayed_at: "2026-11-28T15:59:58.750Z",
  received_lsn: "0/3000148",
  replayed_lsn: "0/3000148",
  state: "streaming",
  reason: null,
};

test("logstash's sample parses the replication log in the form of odoo/pgsql, known or not", () => {
  const line = replicationLogLine("origin", at, "prod", replica);
  expect(ofReplication?.exec(line)?.groups).toEqual({
    timestamp: at,
    lag_seconds: "1.25",
    last_replayed_at: replica.last_replayed_at,
    received_lsn: "0/3000148",
    replayed_lsn: "0/3000148",
  });
  const unknown = { ...replica, lag_seconds: null, last_replayed_at: null, received_lsn: null };
  expect(ofReplication?.exec(replicationLogLine("origin", at, "prod", unknown))?.groups).toMatchObject({
    timestamp: at,
    replayed_lsn: "0/3000148",
  });
});

test("its other form is one JSON object a line, which the sample tells by its first character", () => {
  const line = replicationLogLine("json", at, "prod", replica);
  expect(line).toMatch(/^\{.*\}$/);
  expect(JSON.parse(line)).toMatchObject({ timestamp: at, node: "pg2", lag_seconds: 1.25 });
});

test.each([
  [
    '2026-11-28 16:00:01.123 UTC [4711] odoo@sales/odoo-4711 ERROR:  relation "x" does not exist',
    { pid: "4711", user: "odoo", database: "sales", application: "odoo-4711", severity: "ERROR" },
  ],
  [
    "2026-11-28 16:00:01.123 UTC [12] LOG:  checkpoint complete: wrote 12 buffers",
    { pid: "12", severity: "LOG", text: "checkpoint complete: wrote 12 buffers" },
  ],
  [
    "2026-11-28 16:00:01.123 UTC [7] odoo@sales/[unknown] STATEMENT:  SELECT 1\n\tFROM x",
    { severity: "STATEMENT", text: "SELECT 1\n\tFROM x" },
  ],
])("the sample parses a line of a server's log: %s", (line, fields) => {
  expect(ofServers?.exec(line)?.groups).toMatchObject(fields);
});
