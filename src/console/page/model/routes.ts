/** The parts of the console, each with an address of its own behind `#/`. */
export const VIEWS = [
  { view: "", title: "Overview" },
  { view: "backups", title: "Backups" },
  { view: "checks", title: "Checks" },
  { view: "statements", title: "Statements" },
  { view: "settings", title: "Settings" },
  { view: "logs", title: "Logs" },
  { view: "roles", title: "Roles" },
  { view: "alarms", title: "Alarms" },
] as const;
export type ViewName = (typeof VIEWS)[number]["view"];

export interface Route {
  readonly view: ViewName;
  /** The rest of the address, such as which log and which text to search for. */
  readonly wish: URLSearchParams;
}

/** `#/logs?of=pg1&match=ERROR`. Any other address leads to the overview. */
export function routeOf(hash: string): Route {
  const [, name = "", wish = ""] = /^#\/([a-z]*)(?:\?(.*))?$/.exec(hash) ?? [];
  const view = VIEWS.find((one) => one.view === name)?.view ?? "";
  return { view, wish: new URLSearchParams(wish) };
}

export function addressOf(view: ViewName, wish: Readonly<Record<string, string>> = {}): string {
  const given = Object.entries(wish).filter(([, value]) => value !== "");
  return `#/${view}${given.length > 0 ? `?${String(new URLSearchParams(given))}` : ""}`;
}
