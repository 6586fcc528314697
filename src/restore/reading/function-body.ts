/**
 * Whether a semicolon is inside a function's body that is no string (`BEGIN ATOMIC … END`), told from the words of the
 * statement as psql tells it. Source: PostgreSQL, src/fe_utils/psqlscan.l, rule `{identifier}`.
 */
export class FunctionBody {
  /** First letters of the first four words, as far as they may be those of CREATE [OR REPLACE] FUNCTION or PROCEDURE. */
  readonly #first: string[] = [];
  #depth = 0;

  get inside(): boolean {
    return this.#depth > 0;
  }

  /** @param top whether it is outside all parentheses */
  add(written: string, top: boolean): void {
    const word = written.toLowerCase();
    if (this.#first.length < 4) this.#first.push(TELLING.has(word) ? word.charAt(0) : " ");
    if (!top || !/^c(?:f|p|or[fp])/.test(this.#first.join(""))) return;
    if (word === "begin" || (word === "case" && this.#depth > 0)) this.#depth += 1;
    else if (word === "end" && this.#depth > 0) this.#depth -= 1;
  }
}

const TELLING = new Set(["create", "or", "replace", "function", "procedure"]);
