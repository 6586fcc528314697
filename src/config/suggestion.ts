import { distance } from "fastest-levenshtein";

/** The known words that a misspelt one is nearest to: more than one when they are equally near, none when none is near. */
export function nearest(word: string, known: readonly string[]): string[] {
  const lowered = word.toLowerCase();
  const measured = known.map((candidate) => ({ candidate, edits: distance(lowered, candidate) }));
  const fewest = Math.min(...measured.map(({ edits }) => edits));
  const allowed = Math.max(2, Math.floor(word.length / 3));
  return fewest > allowed
    ? []
    : measured.filter(({ edits }) => edits === fewest).map(({ candidate }) => candidate);
}

/** `Did you mean "shop"? ` where that is near to a name that is not there, and then the names that are. */
export function namesThatAre(word: string, known: readonly string[]): string {
  const meant = nearest(word, known);
  const hint = meant.length ? `D${didYouMean(meant).slice(1)} ` : "";
  return `${hint}There ${known.length === 1 ? "is" : "are"}: ${known.join(", ") || "none"}.`;
}

/** `did you mean "host" or "port"?` */
export function didYouMean(words: readonly string[]): string {
  return `did you mean ${words.map((word) => `"${word}"`).join(" or ")}?`;
}
