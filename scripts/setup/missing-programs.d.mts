/** A browser for tests; undefined where there is none. */
export function findBrowser(): string | undefined;
