/** How a file is packed, as far as its first bytes say. */
export type Compression = "none" | "gzip" | "zstd" | "xz" | "bzip2" | "lz4";

/** The kind of a file, told from its first bytes, never from its name. */
export type FileKind =
  | { readonly is: "compressed"; readonly by: Exclude<Compression, "none"> }
  /** An archive of pg_dump. */
  | { readonly is: "archive"; readonly format: "custom" | "tar" }
  /** Holds files; `other` is what bsdtar reads. */
  | { readonly is: "bundle"; readonly form: "zip" | "tar" | "other" }
  | { readonly is: "sql" }
  | { readonly is: "none"; readonly problem: string };

/** Bytes that kindOfFile needs, where there are as many. */
export const HEAD = 512;

const COMPRESSED: readonly [string, Exclude<Compression, "none">][] = [
  ["\u001f\u008b", "gzip"],
  ["\u0028\u00b5\u002f\u00fd", "zstd"],
  ["\u00fd7zXZ\0", "xz"],
  ["BZh", "bzip2"],
  ["\u0004\u0022\u004d\u0018", "lz4"],
];

/** The first file of a tar in pg_dump's own form. */
const TOC_FILE = "toc.dat";

/** Pure. Sources: the formats' own documents (RFC 1952, RFC 8878, APPNOTE.TXT, 7zFormat.txt …). */
export function kindOfFile(head: Buffer): FileKind {
  const text = head.toString("latin1", 0, HEAD);
  const starts = (magic: string): boolean => text.startsWith(magic);
  if (head.length === 0) return { is: "none", problem: "it is empty" };
  if (starts("PGDMP")) return { is: "archive", format: "custom" };
  if (starts("PK\u0003\u0004") || starts("PK\u0005\u0006")) return { is: "bundle", form: "zip" };
  if (starts("PK\u0007\u0008") || starts("PK00PK\u0003\u0004"))
    return { is: "none", problem: "it is the first part of a zip that was split" };
  if (starts("7z\u00bc\u00af\u0027\u001c") || starts("Rar!\u001a\u0007"))
    return { is: "bundle", form: "other" };
  // Two letters alone may begin a text: in bzip2, a digit and the first of its blocks follow.
  const by = COMPRESSED.find(([magic]) => starts(magic))?.[1];
  if (by !== undefined && (by !== "bzip2" || /^BZh[1-9]1AY&SY/.test(text))) return { is: "compressed", by };
  if (text.slice(257, 262) === "ustar") {
    return starts(`${TOC_FILE}\0`) ? { is: "archive", format: "tar" } : { is: "bundle", form: "tar" };
  }
  if (encodingOf(head) === "UTF-8" && head.includes(0))
    return { is: "none", problem: "it is neither SQL nor an archive of pg_dump nor a zip" };
  return { is: "sql" };
}

export type TextEncoding = "UTF-8" | "UTF-16LE" | "UTF-16BE";

/** The form of Unicode of a text: told by its byte order mark, or by the zeros in every other byte of plain letters. */
export function encodingOf(head: Buffer): TextEncoding {
  const [first, second, third, fourth] = head;
  if (first === 0xff && second === 0xfe) return "UTF-16LE";
  if (first === 0xfe && second === 0xff) return "UTF-16BE";
  if (head.length >= 4 && second === 0 && fourth === 0 && first !== 0 && third !== 0) return "UTF-16LE";
  if (head.length >= 4 && first === 0 && third === 0 && second !== 0 && fourth !== 0) return "UTF-16BE";
  return "UTF-8";
}
