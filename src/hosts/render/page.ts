import { escaped, htmlPage, styleSource } from "../../console/html.ts";
import type { Warning } from "../../model/warnings.ts";
import type { OdooPgError } from "../../errors.ts";
import { printCommand, printNext } from "../../next-step.ts";
import { printableLine } from "../../printable.ts";
import { sayAnySecond, sayTroubles } from "../decisions/any-second.ts";
import { sayBackups } from "../decisions/backups.ts";
import type { PageOrder } from "../decisions/page-order.ts";
import type { HostsStatus } from "../documents/report.ts";
import { isHeard } from "../decisions/heard.ts";
import {
  HEADINGS,
  rowOf,
  sayFailover,
  sayFillingDisks,
  sayKeptAside,
  sayRemoved,
  sayStrange,
  sayView,
} from "./sheet.ts";

/**
 * Seconds after which a browser loads the page again with `?watch`; not by default, as a page that moves is hard to
 * read.
 */
const AGAIN = 5;

const STYLE =
  ":root{color-scheme:light dark}html{background:light-dark(#fff,#14191d);color:light-dark(#1a2024,#e6eaee)}a{color:light-dark(#0b57d0,#8ab4f8)}body{font:1rem/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}.wide{overflow-x:auto}table{border-collapse:collapse}th,td{text-align:left;padding:.25rem 1rem .25rem 0;border-bottom:1px solid color-mix(in srgb,currentColor 20%,transparent)}.verdict{font-weight:600}.well{color:light-dark(#22693f,#6fcf97)}.ill{color:light-dark(#b3261e,#ff8a80)}.note{color:light-dark(#4a5259,#aab4bc)}button{font:inherit;padding:.4rem 1rem}dt{font-family:ui-monospace,monospace}dd{margin:0 0 .5rem 1.5rem}";

/** The page contains its own style, runs no script, and sends its forms only to its own server. */
export const HOSTS_POLICY = `default-src 'none'; style-src ${styleSource(STYLE)}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'`;

/** Text that other hosts report of themselves: escaped. */
function text(words: string): string {
  return escaped(printableLine(words));
}

/** The result of the last order by a form. */
export interface LastOrder {
  readonly command: string;
  readonly by: string;
  readonly state: "under way" | "done" | "failed";
  readonly words: string;
}

/** The viewer of the page, and what the page can order. */
export interface Desk {
  /** How odoo-pg is typed on this host, wherever one is. */
  readonly called: string;
  /** For an operator who has signed in; undefined for anyone who may only look. */
  readonly token: string | undefined;
  readonly offers: readonly PageOrder[];
  /** The order that a link asked for and that is to be confirmed. */
  readonly asked: PageOrder | undefined;
  /** Why the order was refused. */
  readonly refused?: OdooPgError | undefined;
  readonly last: LastOrder | undefined;
  /** Whether the browser loads the page again every few seconds. */
  readonly watching?: boolean;
}

/** What can be done with several hosts, each with its command. */
const COMMANDS: readonly (readonly [string, string])[] = [
  ["switchover", "another host becomes primary, as planned; on any host"],
  ["restart", "the servers are started again, one by one; on any host"],
  ["pause --for 30m", "no other host takes over while you work on hosts or network"],
  ["resume", "ends that"],
  ["reseed", "rebuilds the data of a host; on that host"],
  ["down", "stops a host; on that host"],
];

/** The confirmation of an order. */
function confirmation({ command, will, fields }: PageOrder, token: string, called: string): string {
  const hidden = Object.entries({ ...fields, token }).map(
    ([name, value]) => `<input type="hidden" name="${text(name)}" value="${text(value)}">`,
  );
  return `<h2>${text(printCommand(command, called))}</h2>
<p>${text(will)}</p>
<form method="post" action="/order">${hidden.join("")}<button>Do it</button> <a href="/">Leave it</a></form>`;
}

function offered(offers: readonly PageOrder[], called: string): string {
  const links = offers.map(({ command, will, fields }) => {
    const query = new URLSearchParams(fields).toString();
    return `<dt><a href="/?${text(query)}">${text(printCommand(command, called))}</a></dt><dd>${text(will)}</dd>`;
  });
  return `<h2>From here</h2><dl>${links.join("")}</dl>`;
}

/** An error: what happened, what is safe, what to do next. @param called how odoo-pg is typed there */
export function inOneParagraph({ message, safe, next }: OdooPgError, called: string): string {
  return [message, safe, next === undefined ? undefined : `Next: ${printNext(next, called)}`]
    .filter((part) => part !== undefined)
    .join(" ");
}

function warningInOneParagraph({ severity, message, next_step: next }: Warning, called: string): string {
  return `${severity}: ${message} Next: ${printNext(next, called)}`;
}

function sayLast({ command, by, state, words }: LastOrder): string {
  return `<p class="verdict ${state === "failed" ? "ill" : "well"}" role="status">${text(`${command}, by ${by}: ${state}. ${words}`)}</p>`;
}

/**
 * The cluster as one of its hosts sees it, as a page without scripts. Pure.
 * @param warnings of the host that shows the page
 */
export function hostsPage(status: HostsStatus, warnings: readonly Warning[], desk: Desk): string {
  const { called, token, asked, offers, refused, last, watching = false } = desk;
  // Someone is reading what will happen: the page must not be taken away.
  const confirmed = token === undefined || !asked ? undefined : confirmation(asked, token, called);
  const again = watching && confirmed === undefined && !refused;
  const { endpoints, failover, hosts, seen_from } = status;
  const isWell = failover.ready && failover.away.length === 0;
  const own = hosts.find(({ name }) => name === seen_from)?.report;
  // By the clock of the host that shows the page.
  const seconds = sayAnySecond(status, own?.clock ?? 0);
  const kept = sayKeptAside(status).map((line) => `<li>${text(line)}</li>`);
  const disks = sayFillingDisks(status).map((line) => `<li>${text(line)}. Make room there.</li>`);
  // The primary's own page has them among its warnings.
  const troubles = status.primary === seen_from ? [] : sayTroubles(status);
  const strange = [...troubles, ...sayRemoved(status), ...sayStrange(status)].map(
    (line) => `<li>${text(line)}</li>`,
  );
  const rows = hosts.map((host) => {
    const cells = rowOf(status, host).map((cell) => `<td>${text(cell)}</td>`);
    return `<tr${isHeard(host) ? "" : ' class="ill"'}>${cells.join("")}</tr>`;
  });
  return htmlPage({
    title: `${text(status.cluster)}: ${isWell ? "ready" : "look"}`,
    head: `${again ? `<meta http-equiv="refresh" content="${AGAIN}">\n` : ""}<style>${STYLE}</style>`,
    body: `<h1>${text(sayView(status))}</h1>
${refused ? `<p class="verdict ill" role="alert">${text(inOneParagraph(refused, called))} <a href="/">Load the page again</a></p>` : ""}
${last ? sayLast(last) : ""}
${confirmed ?? ""}
<p class="verdict ${isWell ? "well" : "ill"}">Failover: ${text(sayFailover(status))}</p>
${warnings.length ? `<ul>${warnings.map((warning) => `<li>${text(warningInOneParagraph(warning, called))}</li>`).join("")}</ul>` : ""}
${strange.length ? `<ul class="ill">${strange.join("")}</ul>` : ""}
${disks.length ? `<ul class="ill">${disks.join("")}</ul>` : ""}
<div class="wide" role="region" aria-label="Hosts" tabindex="0"><table>
<thead><tr>${HEADINGS.map((heading) => `<th scope="col">${heading}</th>`).join("")}</tr></thead>
<tbody>${rows.join("\n")}</tbody>
</table></div>
${
  own && own.role !== "witness"
    ? `<p>Odoo on ${text(seen_from)} writes to 127.0.0.1:${endpoints.write} (${text(own.writes ?? "waits for a primary")}) and reads from 127.0.0.1:${endpoints.read} (${text(own.reads.join(", ") || own.writes || "nobody")}).</p>`
    : ""
}
<p>Backups: ${text(sayBackups(status))}.</p>
${seconds === undefined ? "" : `<p>Window: ${text(seconds)}</p>`}
${kept.length ? `<h2>Old data that is kept aside, yours to remove</h2><ul>${kept.join("")}</ul>` : ""}
${token === undefined || !offers.length ? "" : offered(offers, called)}
<h2>Commands</h2>
<dl>${COMMANDS.map(([command, words]) => `<dt>${text(`${called} ${command}`)}</dt><dd>${words}</dd>`).join("")}</dl>
<p class="note">${token === undefined ? `An operator who has signed in (${text(`${called} console`)}) can do some of it from here. ` : ""}${again ? `The page is loaded again every ${AGAIN} seconds. <a href="/">Leave it still</a>` : `<a href="/">Look again</a>, or <a href="/?watch">every ${AGAIN} seconds</a>.`}</p>`,
  });
}
