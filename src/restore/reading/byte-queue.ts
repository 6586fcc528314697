/** Bytes that arrive in pieces and are taken from the front. Taken bytes are never overwritten. */
export class ByteQueue {
  readonly #limit: number;
  #memory: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;

  /** @param limit bytes that are held at most */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The bytes that are held now. */
  get bytes(): Buffer {
    return this.#memory.subarray(this.#start, this.#end);
  }

  /** Adds bytes; false when the limit would be exceeded. */
  push(chunk: Buffer): boolean {
    const length = this.#end - this.#start;
    if (length + chunk.length > this.#limit) return false;
    if (length === 0) {
      this.#memory = chunk;
      this.#start = 0;
      this.#end = chunk.length;
      return true;
    }
    if (this.#end + chunk.length > this.#memory.length) {
      // Doubles the size, so that bytes held for long are not copied with each piece.
      const memory = Buffer.allocUnsafe(Math.max(length * 2, length + chunk.length));
      this.bytes.copy(memory);
      this.#memory = memory;
      this.#start = 0;
      this.#end = length;
    }
    chunk.copy(this.#memory, this.#end);
    this.#end += chunk.length;
    return true;
  }

  take(length: number): Buffer {
    const taken = this.#memory.subarray(this.#start, this.#start + length);
    this.#start += length;
    return taken;
  }
}
