import { EmuError, type Executable, type Session, type TensorData } from '@emu/program';

import type { LlamaConfig } from '../models/config.js';
import { cacheStates, decoderProgram, type CacheConfig } from '../models/decoder.js';
import { singlePrecision, type Precision } from '../nn/parameters.js';
import { pageCopyProgram } from './page-copy-program.js';
import { PageIndex } from './page-index.js';
import { PagedCache, type PageCopy } from './paged-cache.js';
import { leastTemperature } from './sampling.js';
import { StepQueue, type StepRequest } from './step-queue.js';

/** One place of a sequence: a token id, or an embedding f32[D] in the language model's space. */
export type Element = number | Float32Array;

/**
 * What can be asked of a row: the state after the final norm, what a head makes of it, softmax(logits / temperature),
 * or the loss of the row's `target` token.
 */
export type RowOutput = 'hidden' | 'logits' | 'probabilities' | 'regressed' | 'losses';

/** One row of the flat batch: an element of the sequence in `slot`, at its place. */
export interface Row {
  readonly slot: number;
  readonly position: number;
  readonly element: Element;
  /** Results wanted of this row; none for most rows of a prompt. */
  readonly wanted?: readonly RowOutput[];
  /** The token whose negative log-probability is wanted as `losses`. */
  readonly target?: number;
  /** Of `probabilities`; 1 where it is not given. */
  readonly temperature?: number | undefined;
}

/** Results of a row: `hidden`, `regressed` f32[D], `logits`, `probabilities` f32[V], `losses` f32[1], as wanted. */
export type RowResult = Readonly<Partial<Record<RowOutput, Float32Array>>>;

/** What a decoder has done since it was opened. */
export interface DecoderStatistics {
  /** Runs of the language model. */
  readonly runs: number;
  /** Rows of all runs: positions of prompts, tokens and visual embeddings. */
  readonly rows: number;
  /** Rows whose position was found in the cache and not computed. */
  readonly rowsShared: number;
}

export interface StepOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * Results need to last only until the caller waits for something else, so they may lie in memory that a later run
   * writes. For results of one row, the last: those of others may come from an earlier run.
   */
  readonly borrowed?: boolean;
}

/** Results that are kept to be written again are at most this large; a larger one is rare, and its memory dear. */
const mostKeptBytes = 8 * 2 ** 20;

/** Sizes of the flat batch that programs are compiled for; a batch is padded to the next one with unused rows. */
export const rowBuckets = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] as const;
export const mostRows = 512;

const outputOrder: readonly RowOutput[] = ['hidden', 'logits', 'probabilities', 'regressed', 'losses'];

/**
 * The language model with its key/value cache. Its one way to compute is `step`: rows of any sequences, prompts and
 * single steps alike. Calls that come in while a run is under way go together into the next runs; since kernels
 * give a row the same bits in any batch, nobody can tell.
 */
export class Decoder {
  readonly cache: PagedCache;
  /** Pages of prompts that came before, for prompts that begin alike. */
  readonly pages: PageIndex;
  readonly #session: Session;
  readonly #precision: Precision;
  readonly #executables = new Map<string, Executable>();
  /** Where results go that were borrowed. */
  readonly #lent = new Map<Executable, Readonly<Record<string, TensorData>>>();
  readonly #queue: StepQueue;
  #runs = 0;
  #rows = 0;

  /** The session must hold the weights that decoder programs name; the cache is created here. */
  constructor(
    session: Session,
    readonly config: LlamaConfig,
    readonly cacheConfig: CacheConfig,
    precision: Precision = singlePrecision,
  ) {
    this.#session = session;
    this.#precision = precision;
    this.cache = new PagedCache(cacheConfig);
    this.pages = new PageIndex(this.cache);
    for (const { name, shape, dtype } of cacheStates(config, cacheConfig))
      session.createState(name, shape, dtype);
    this.#queue = new StepQueue(mostRows, (batch, signal) => this.#run(batch, signal));
  }

  get statistics(): DecoderStatistics {
    return { runs: this.#runs, rows: this.#rows, rowsShared: this.pages.positionsShared };
  }

  /**
   * Runs rows and returns the results of each, in order. Rows of one slot come in rising positions; a row sees all
   * places of its slot up to its own. Long batches run in pieces of 512 rows.
   * @throws EmuError INVALID_PROMPT for a token outside the vocabulary, TENSOR_SHAPE_MISMATCH for an embedding of
   *   another width, CONTEXT_LENGTH_EXCEEDED, OUT_OF_MEMORY, MODEL_DISPOSED; or `signal.reason`.
   */
  async step(rows: readonly Row[], { signal, borrowed }: StepOptions = {}): Promise<readonly RowResult[]> {
    signal?.throwIfAborted();
    for (const row of rows) this.#check(row);
    return this.#queue.submit(rows, signal, borrowed);
  }

  #check({ element, position, slot }: Row): void {
    const { vocabulary, width } = this.config;
    if (typeof element === 'number') {
      if (Number.isInteger(element) && element >= 0 && element < vocabulary) return;
      throw new EmuError(
        'INVALID_PROMPT',
        `[step] token ${element} at position ${position} is outside the vocabulary 0..${vocabulary - 1}`,
        { details: { token: element, position, slot, vocabulary } },
      );
    }
    if (element.length === width) return;
    throw new EmuError(
      'TENSOR_SHAPE_MISMATCH',
      `[step] the embedding at position ${position} has ${element.length} numbers, the model's width is ${width}`,
      { details: { length: element.length, width, position, slot } },
    );
  }

  /** One run: rows of several requests, results written into the requests. */
  async #run(batch: readonly StepRequest[], signal: AbortSignal): Promise<void> {
    const parts = this.#withPages(batch);
    const rows = parts.flatMap((request) => request.taken);
    if (rows.length === 0) return;
    this.#runs += 1;
    this.#rows += rows.length;
    const chosen = [...rows.keys()].filter((index) => (rows[index]?.wanted ?? []).length > 0);
    const outputs = outputOrder.filter((output) => rows.some((row) => row.wanted?.includes(output)));
    const executable = this.#executable(rows, chosen.length, outputs);
    const inputs = this.#inputs(rows, bucketOf(rows.length), chosen);
    if (outputs.includes('losses')) inputs['target'] = targetsOf(rows, chosen);
    if (outputs.includes('probabilities')) inputs['inverseTemperature'] = inversesOf(rows, chosen);
    const borrowed = parts.every(({ borrows }) => borrows);
    const results = await this.#runInto(executable, inputs, borrowed, signal);
    let k = 0; // counts the rows that results were wanted of
    for (const request of parts) {
      for (const { wanted = [] } of request.taken) {
        const index = wanted.length > 0 ? k++ : -1;
        const result: Partial<Record<RowOutput, Float32Array>> = {};
        for (const output of wanted) result[output] = rowOf(results[output], index, this.#widthOf(output));
        request.results.push(result);
      }
    }
  }

  /** Runs with results in new memory, or in that of the last run whose results were all `borrowed`. */
  async #runInto(
    executable: Executable,
    inputs: Readonly<Record<string, TensorData>>,
    borrowed: boolean,
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, TensorData>>> {
    const lent = borrowed ? this.#lent.get(executable) : undefined;
    if (lent !== undefined) return executable.run(inputs, { signal, outputs: lent });
    const results = await executable.run(inputs, { signal });
    const bytes = Object.values(results).reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (borrowed && bytes <= mostKeptBytes) this.#lent.set(executable, results);
    return results;
  }

  /**
   * Gets pages for all rows and copies the shared ones. Requests that the cache has no room for fail here, alone.
   * No await may come between this and the run: the session keeps the order of what it was asked for.
   */
  #withPages(batch: readonly StepRequest[]): readonly StepRequest[] {
    const copies: PageCopy[] = [];
    const ready = batch.filter((request) => {
      try {
        for (const { slot, position } of request.taken) this.cache.prepareWrite(slot, position, copies);
        return true;
      } catch (error) {
        request.fail(error);
        return false;
      }
    });
    if (copies.length > 0) this.#copyPages(copies);
    return ready;
  }

  #copyPages(copies: readonly PageCopy[]): void {
    for (let start = 0; start < copies.length; start += mostRows) {
      const part = copies.slice(start, start + mostRows);
      const count = bucketOf(part.length);
      const from = new Int32Array(count).fill(-1);
      const to = new Int32Array(count);
      for (const [index, copy] of part.entries()) {
        from[index] = copy.from;
        to[index] = copy.to;
      }
      const executable = this.#compiled(`copy/${count}`, () =>
        pageCopyProgram(this.config, this.cacheConfig, count),
      );
      // Not awaited: runs follow one another. A failure also fails the run behind it (a disposed session).
      executable.run({ from, to }).catch(() => undefined);
    }
  }

  #executable(rows: readonly Row[], chosen: number, outputs: readonly RowOutput[]): Executable {
    const rowCount = bucketOf(rows.length);
    const visual = rows.some((row) => typeof row.element !== 'number');
    const logitRows = chosen === 0 ? 0 : bucketOf(chosen);
    return this.#compiled(`${rowCount}/${visual}/${logitRows}/${outputs.join('+')}`, () =>
      decoderProgram(this.config, {
        ...this.cacheConfig,
        precision: this.#precision,
        rows: rowCount,
        visualRows: visual ? rowCount : 0,
        logitRows,
        outputs,
      }),
    );
  }

  #compiled(key: string, build: () => Parameters<Session['compile']>[0]): Executable {
    const known = this.#executables.get(key);
    if (known !== undefined) return known;
    const executable = this.#session.compile(build());
    this.#executables.set(key, executable);
    return executable;
  }

  #inputs(rows: readonly Row[], rowCount: number, chosen: readonly number[]): Record<string, TensorData> {
    const ids = new Int32Array(rowCount);
    const slot = new Int32Array(rowCount).fill(-1);
    const position = new Int32Array(rowCount);
    const embeddings = rows.filter((row) => typeof row.element !== 'number').length;
    const { width } = this.config;
    const visual = new Float32Array(embeddings === 0 ? 0 : rowCount * width);
    const visualTarget = new Int32Array(embeddings === 0 ? 0 : rowCount).fill(-1);
    let next = 0;
    for (const [index, row] of rows.entries()) {
      slot[index] = row.slot;
      position[index] = row.position;
      if (typeof row.element === 'number') {
        ids[index] = row.element;
        continue;
      }
      visual.set(row.element, next * width);
      visualTarget[next++] = index;
    }
    const inputs: Record<string, TensorData> = { ids, slot, position, pageTable: this.cache.pageTable() };
    if (embeddings > 0) Object.assign(inputs, { visual, visualTarget });
    if (chosen.length > 0) {
      const logitIndex = new Int32Array(bucketOf(chosen.length));
      logitIndex.set(chosen);
      inputs['logitIndex'] = logitIndex;
    }
    return inputs;
  }

  #widthOf(output: RowOutput): number {
    if (output === 'losses') return 1;
    return output === 'logits' || output === 'probabilities' ? this.config.vocabulary : this.config.width;
  }
}

/** The smallest compiled size that holds `rows` rows. */
function bucketOf(rows: number): number {
  return rowBuckets.find((bucket) => bucket >= rows) ?? mostRows;
}

/** Targets of the chosen rows; -100, which costs nothing, where a row has none. */
function targetsOf(rows: readonly Row[], chosen: readonly number[]): Int32Array {
  const targets = new Int32Array(bucketOf(chosen.length)).fill(-100);
  for (const [k, index] of chosen.entries()) targets[k] = rows[index]?.target ?? -100;
  return targets;
}

/** What logits are multiplied by for probabilities. */
function inversesOf(rows: readonly Row[], chosen: readonly number[]): Float32Array {
  const inverses = new Float32Array(bucketOf(chosen.length)).fill(1);
  for (const [k, index] of chosen.entries()) {
    inverses[k] = 1 / Math.max(rows[index]?.temperature ?? 1, leastTemperature);
  }
  return inverses;
}

function rowOf(data: TensorData | undefined, row: number, width: number): Float32Array {
  if (!(data instanceof Float32Array)) throw new EmuError('INTERNAL', '[step] a decoder output is missing');
  return data.subarray(row * width, (row + 1) * width);
}
