import { createHash } from "node:crypto";
import { script, style } from "odoo-pg:page";

export interface PageFile {
  readonly path: string;
  /** Content type. */
  readonly type: string;
  readonly body: string;
  /** Whether the path names the content, so that a browser may keep it for ever. */
  readonly immutable: boolean;
}

/**
 * Content-Security-Policy under which the page works: nothing inline, no other host. The icon is a data URL.
 */
export const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/** All that a browser loads to show the console: the page at `/`, its script and its style. */
export function pageFiles(): readonly PageFile[] {
  const scriptPath = `/assets/console.${hashOf(script)}.js`;
  const stylePath = `/assets/console.${hashOf(style)}.css`;
  return [
    { path: "/", type: "text/html; charset=utf-8", body: html(scriptPath, stylePath), immutable: false },
    { path: scriptPath, type: "text/javascript; charset=utf-8", body: script, immutable: true },
    { path: stylePath, type: "text/css; charset=utf-8", body: style, immutable: true },
  ];
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 12);
}

const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M4 4v8h6' fill='none' stroke='%23678' stroke-width='1.5'/%3E%3Ccircle cx='4' cy='4' r='3' fill='%23386'/%3E%3Ccircle cx='12' cy='12' r='3' fill='%23386'/%3E%3C/svg%3E";

function html(scriptPath: string, stylePath: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>odoo-pg</title>
<link rel="icon" href="${ICON}">
<link rel="stylesheet" href="${stylePath}">
<script src="${scriptPath}" defer></script>
</head>
<body>
<div id="console"><noscript>The console needs JavaScript. Without it: <code>odoo-pg status</code></noscript></div>
</body>
</html>
`;
}
