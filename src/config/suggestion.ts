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

/** `did you mean "host" or "port"?` */
export function didYouMean(words: readonly string[]): string {
  return `did you mean ${words.map((word) => `"${word}"`).join(" or ")}?`;
}
