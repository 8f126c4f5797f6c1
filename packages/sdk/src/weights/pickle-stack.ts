import { corrupt, quoted, type FilePlace } from './checkpoint-error.js';
import { isDict, isList, isSet, kindOf, type PickleDict, type PickleValue } from './pickle-value.js';

/** Limits that keep a hostile pickle cheap; a checkpoint of 100,000 tensors stays below them. */
export const pickleLimits = {
  /** Bytes of the pickle. */
  bytes: 1 << 26,
  /** Opcodes. */
  steps: 1 << 22,
  /** Strings and containers that opcodes make. */
  objects: 1 << 20,
  /** Values on the stack at once. */
  stack: 1 << 20,
  /** Open marks at once. */
  marks: 1 << 16,
} as const;

/**
 * Stack, marks and memo of a pickle machine, bounded by `pickleLimits`. Values below the last mark cannot be taken.
 * Every breach is an EmuError CHECKPOINT_CORRUPT.
 */
export class PickleStack {
  private readonly values: PickleValue[] = [];
  private readonly marks: number[] = [];
  private readonly memo = new Map<number, PickleValue>();
  private objects = 0;

  constructor(private readonly place: FilePlace) {}

  get depth(): number {
    return this.values.length;
  }

  get openMarks(): number {
    return this.marks.length;
  }

  get memoSize(): number {
    return this.memo.size;
  }

  push(value: PickleValue): void {
    if (this.values.length >= pickleLimits.stack) {
      throw this.corrupt(`puts over ${pickleLimits.stack} values on its stack`);
    }
    this.values.push(value);
  }

  /** Pushes a value that was made just now. */
  create(value: PickleValue): void {
    const takesMemory = (typeof value === 'object' && value !== null) || typeof value === 'string';
    if (takesMemory && ++this.objects > pickleLimits.objects) {
      throw this.corrupt(`makes over ${pickleLimits.objects} objects`);
    }
    this.push(value);
  }

  pop(): PickleValue {
    const value = this.values.length > this.floor ? this.values.pop() : undefined;
    if (value === undefined) throw this.corrupt('takes a value from an empty stack');
    return value;
  }

  top(): PickleValue {
    const value = this.values.length > this.floor ? this.values.at(-1) : undefined;
    if (value === undefined) throw this.corrupt('looks at the top of an empty stack');
    return value;
  }

  mark(): void {
    if (this.marks.length >= pickleLimits.marks) {
      throw this.corrupt(`has over ${pickleLimits.marks} open marks`);
    }
    this.marks.push(this.values.length);
  }

  /** The values above the last mark, in order; they and the mark leave the stack. */
  popMark(): PickleValue[] {
    const mark = this.marks.pop();
    if (mark === undefined) throw this.corrupt('goes back to a mark that it never set');
    return this.values.splice(mark);
  }

  /** POP also removes a mark that lies on top. */
  popValueOrMark(): void {
    if (this.marks.length > 0 && this.values.length === this.floor) this.marks.pop();
    else this.pop();
  }

  /** The last `length` values, in order. */
  popMany(length: number): PickleValue[] {
    return Array.from({ length }, () => this.pop()).reverse();
  }

  remember(index: number): void {
    this.memo.set(index, this.top());
    if (this.memo.size > pickleLimits.objects) {
      throw this.corrupt(`remembers over ${pickleLimits.objects} values`);
    }
  }

  recall(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) throw this.corrupt(`recalls value ${index}, which it never stored`, { index });
    this.push(value);
  }

  /** Sets keys and values, one after the other in `items`, in the dict on top. */
  setItems(items: readonly PickleValue[]): void {
    const target = this.top();
    if (!isDict(target)) throw this.corrupt(`sets items of a ${kindOf(target)}, a dict is needed`);
    this.fill(target, items);
  }

  /** Fills a dict with keys and values. State dicts have every key once; a second one would hide a tensor. */
  fill(target: PickleDict, items: readonly PickleValue[]): PickleDict {
    if (items.length % 2 !== 0) throw this.corrupt('sets a dict key without a value');
    for (let i = 0; i + 1 < items.length; i += 2) {
      const [key, value] = [items[i], items[i + 1]];
      if (key === undefined || value === undefined) break;
      if (isDict(key) || isList(key) || isSet(key)) throw this.corrupt(`has a ${kindOf(key)} as a dict key`);
      if (target.entries.has(key)) {
        const shown = typeof key === 'string' ? quoted(key) : kindOf(key);
        throw this.corrupt(`sets the dict key ${shown} twice`, { key: shown });
      }
      target.entries.set(key, value);
    }
    return target;
  }

  append(items: readonly PickleValue[]): void {
    const target = this.top();
    if (!isList(target)) throw this.corrupt(`appends to a ${kindOf(target)}, a list is needed`);
    for (const item of items) target.items.push(item);
  }

  add(items: readonly PickleValue[]): void {
    const target = this.top();
    if (!isSet(target)) throw this.corrupt(`adds to a ${kindOf(target)}, a set is needed`);
    for (const item of items) target.items.add(item);
  }

  private get floor(): number {
    return this.marks.at(-1) ?? 0;
  }

  private corrupt(problem: string, details: Readonly<Record<string, unknown>> = {}): Error {
    return corrupt(this.place, `the pickle ${problem}`, { details });
  }
}
