/**
 * Memory for a computation that is over before anything else runs. An array of its own for every token of every stream
 * is memory outside the heap, which makes the garbage collector run several times a second.
 */
export class Scratch<Numbers extends Float32Array | Float64Array> {
  readonly #allocate: (length: number) => Numbers;
  #memory: Numbers;

  constructor(allocate: (length: number) => Numbers) {
    this.#allocate = allocate;
    this.#memory = allocate(0);
  }

  /** `length` numbers of any values; the next call gives them away again. */
  take(length: number): Numbers {
    if (this.#memory.length < length) this.#memory = this.#allocate(length);
    return this.#memory.length === length ? this.#memory : (this.#memory.subarray(0, length) as Numbers);
  }
}
