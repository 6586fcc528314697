/** Gives back what was held; a second call does nothing. */
export type Release = () => void;

/** Replicas that operations keep out of the read pool. Several may hold the same one: it is free when all have let go. */
export class Holds {
  readonly #holders = new Map<symbol, string>();

  hold(node: string): Release {
    const holder = Symbol(node);
    this.#holders.set(holder, node);
    return () => {
      this.#holders.delete(holder);
    };
  }

  has(node: string): boolean {
    return [...this.#holders.values()].includes(node);
  }
}
