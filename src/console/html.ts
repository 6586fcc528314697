import { createHash } from "node:crypto";

/** A whole page of HTML. @param head what follows the title in its head */
export function htmlPage(page: {
  readonly title: string;
  readonly head: string;
  readonly body: string;
}): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${page.title}</title>
${page.head}
</head>
<body>
${page.body}
</body>
</html>
`;
}

/** By which a Content-Security-Policy allows this style in a page, and no other. */
export function styleSource(style: string): string {
  return `'sha256-${createHash("sha256").update(style).digest("base64")}'`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text, as HTML. */
export function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (found) => ESCAPES[found] ?? "");
}
