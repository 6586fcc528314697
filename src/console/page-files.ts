import { files } from "odoo-pg:page";

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
  const body = html(
    files.flatMap(({ name, role }) => {
      const path = `/assets/${name}`;
      if (role === "style") return [`<link rel="stylesheet" href="${path}">`];
      if (role === "script") return [`<script type="module" src="${path}"></script>`];
      return role === "part of the script" ? [`<link rel="modulepreload" href="${path}">`] : [];
    }),
  );
  return [{ path: "/", type: "text/html; charset=utf-8", body, immutable: false, later: false }, ...assets];
}

const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M4 4v8h6' fill='none' stroke='%23678' stroke-width='1.5'/%3E%3Ccircle cx='4' cy='4' r='3' fill='%23386'/%3E%3Ccircle cx='12' cy='12' r='3' fill='%23386'/%3E%3C/svg%3E";

function html(loaded: readonly string[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>odoo-pg</title>
<link rel="icon" href="${ICON}">
${loaded.join("\n")}
</head>
<body>
<div id="console"><noscript>The console needs JavaScript. Without it: <code>odoo-pg status</code></noscript></div>
</body>
</html>
`;
}
