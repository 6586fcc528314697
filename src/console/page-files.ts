import { files } from "odoo-pg:page";
import { htmlPage } from "./html.ts";

export interface PageFile {
  readonly path: string;
  /** Content type. */
  readonly type: string;
  readonly body: string;
  /** Whether the path depends on the content, so that a browser may keep it for ever. */
  readonly immutable: boolean;
  /** Whether it is loaded on demand. */
  readonly later: boolean;
}

const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M4 4v8h6' fill='none' stroke='%23678' stroke-width='1.5'/%3E%3Ccircle cx='4' cy='4' r='3' fill='%23386'/%3E%3Ccircle cx='12' cy='12' r='3' fill='%23386'/%3E%3C/svg%3E";

/**
 * Content-Security-Policy under which the page works: nothing inline, no other host. The icon is a data URL.
 */
export const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/** Everything that a browser loads to show the console: the page at `/`, its scripts and its style. */
export function pageFiles(): readonly PageFile[] {
  const assets = files.map(({ name, text, role }): PageFile => ({
    path: `/assets/${name}`,
    type: `${role === "style" || name.endsWith(".css") ? "text/css" : "text/javascript"}; charset=utf-8`,
    body: text,
    immutable: true,
    later: role === "later",
  }));
  const loaded = files.flatMap(({ name, role }) => {
    const path = `/assets/${name}`;
    if (role === "style") return [`<link rel="stylesheet" href="${path}">`];
    if (role === "script") return [`<script type="module" src="${path}"></script>`];
    return role === "part of the script" ? [`<link rel="modulepreload" href="${path}">`] : [];
  });
  const body = htmlPage({
    title: "odoo-pg",
    head: [`<link rel="icon" href="${ICON}">`, ...loaded].join("\n"),
    body: `<div id="console"><noscript>The console needs JavaScript. Without it: <code>odoo-pg status</code></noscript></div>`,
  });
  return [{ path: "/", type: "text/html; charset=utf-8", body, immutable: false, later: false }, ...assets];
}
