import * as fc from "fast-check";

/** Characters that mean something in one of the files that are written, or that are easily lost. */
const awkward = [
  "'",
  '"',
  "\\",
  "\n",
  "\r",
  "\t",
  " ",
  "#",
  "$",
  "%",
  ",",
  ":",
  ";",
  "=",
  "{",
  "}",
  "@",
  "+",
  "*",
  "/",
  "é",
  "雪",
  "😀",
];

/** Texts of any characters but NUL (which C programs cannot take), full of those that have to be quoted. */
export const anyText: fc.Arbitrary<string> = fc
  .string({
    unit: fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...awkward) },
      { weight: 1, arbitrary: fc.string({ unit: "binary", minLength: 1, maxLength: 1 }) },
      { weight: 1, arbitrary: fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 1 }) },
    ),
    maxLength: 15,
  })
  .map((text) => text.replaceAll("\0", ""));

/** Printable ASCII of at least one character: what a password may be. */
export const passwordText: fc.Arbitrary<string> = fc.string({
  unit: fc.oneof(
    fc.constantFrom("'", '"', "\\", " ", "#", "$", ":", "%"),
    fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 1 }),
  ),
  minLength: 1,
  maxLength: 20,
});
