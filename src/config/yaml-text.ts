import { Document, isMap, isSeq, visit } from "yaml";

/** YAML with lists of scalars, and the sections in a list, on one line each: they are short. */
export function yamlLines(value: unknown): string[] {
  const document = new Document(value);
  visit(document, {
    Seq: (_key, list) => void (list.flow = !list.items.some(isMap)),
    Map: (_key, map, parents) => void (map.flow = parents.some(isSeq)),
  });
  return document.toString({ lineWidth: 0 }).trimEnd().split("\n").map(withoutPadding);
}

/** YAML on one line. */
export function yamlInline(value: unknown): string {
  const document = new Document(value);
  visit(document, { Collection: (_key, collection) => void (collection.flow = true) });
  return withoutPadding(document.toString({ lineWidth: 0 }).trimEnd());
}

/** Brackets close to what they hold; braces keep their space. */
function withoutPadding(line: string): string {
  return line.replace(/\[ (.*) \]/, "[$1]");
}
