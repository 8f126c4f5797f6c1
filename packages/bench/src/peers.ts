import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import type { PeerCase } from './bench-case.js';

/** Another implementation of the same work, measured in the same run. */
export interface Peer {
  readonly name: string;
  /** Best seconds, or undefined where the peer does not do this kind of work or says that it failed. */
  measure(peerCase: PeerCase): Promise<number | undefined>;
  /** The whole answer to a question; an error in it has been said. */
  ask(question: object): Promise<Answer>;
  close(): void;
}

/** What a peer answers to one line. */
export interface Answer {
  readonly seconds?: number;
  /** Of all threads, for the same work. */
  readonly processorSeconds?: number;
  /** Most memory that the process held, less what it held before its first question. */
  readonly bytes?: number | null;
  readonly version?: string;
  readonly error?: string;
}

/** A peer in a process of its own: a line of JSON asks, a line of JSON answers. */
class ProcessPeer implements Peer {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #answers: AsyncIterator<string>;

  constructor(
    readonly name: string,
    child: ChildProcessWithoutNullStreams,
    answers: AsyncIterator<string>,
  ) {
    this.#child = child;
    this.#answers = answers;
  }

  async measure(peerCase: PeerCase): Promise<number | undefined> {
    return (await this.ask(peerCase)).seconds;
  }

  async ask(question: object): Promise<Answer> {
    this.#child.stdin.write(`${JSON.stringify(question)}\n`);
    const { value, done } = (await this.#answers.next()) as { value: string; done?: boolean };
    if (done === true) throw new Error(`${this.name} ended without an answer`);
    const answer = JSON.parse(value) as Answer;
    if (answer.error !== undefined) {
      process.stderr.write(`peer ${this.name} failed at ${wordsOf(question)}: ${answer.error}\n`);
    }
    return answer;
  }

  close(): void {
    this.#child.stdin.end();
  }
}

/** The words of a question that say what was asked: kind and dtype, or the name of a case. */
function wordsOf(question: object): string {
  const { kind, dtype, name } = question as Readonly<Record<string, unknown>>;
  return [name, kind, dtype].filter((word) => typeof word === 'string').join(' ');
}

/**
 * Starts a peer, which says its version as its first line; undefined, with the last line of its stderr as the reason
 * on ours, when it is not to be had.
 */
export async function startPeer(
  name: string,
  command: string,
  args: readonly string[],
): Promise<Peer | undefined> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const failure = new Promise<string>((resolve) => {
    child.on('error', (error) => {
      resolve(error.message);
    });
    let said = '';
    child.stderr.on('data', (data: Buffer) => (said += data.toString()));
    child.on('close', () => {
      resolve(said.trim().split('\n').at(-1) ?? 'it ended');
    });
  });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await Promise.race([answers.next(), failure.then((reason) => ({ reason }))]);
  if ('reason' in first || first.done === true) {
    const reason = 'reason' in first ? first.reason : await failure;
    process.stderr.write(`peer ${name} is missing: ${reason}\n`);
    return undefined;
  }
  const { version } = JSON.parse(first.value) as Answer;
  return new ProcessPeer(`${name} ${version ?? ''}`.trim(), child, answers);
}

const peerFile = (name: string): string => fileURLToPath(new URL(`../peers/${name}`, import.meta.url));

/** PyTorch, from the python that EMU_PYTHON names (default python3). */
export function startTorch(threads: number): Promise<Peer | undefined> {
  return startPeer('PyTorch', process.env['EMU_PYTHON'] ?? 'python3', [
    peerFile('torch_peer.py'),
    String(threads),
  ]);
}

/** PyTorch as a trainer, in a process of its own for every case. */
export function startTorchTraining(threads: number): Promise<Peer | undefined> {
  return startPeer('PyTorch', process.env['EMU_PYTHON'] ?? 'python3', [
    peerFile('torch_training.py'),
    String(threads),
  ]);
}

/** Our own side of the training suite, in a process like the peer's; `file` is the built worker. */
export function startTrainingWorker(threads: number, file: string): Promise<Peer | undefined> {
  return startPeer('Emu', process.execPath, [file, String(threads)]);
}

/** oneDNN, through the C++ tool that tools/bench.mjs builds where the library is installed. */
export function startOneDnn(threads: number): Promise<Peer | undefined> {
  const tool = fileURLToPath(new URL('../../../out/tools/onednn_peer', import.meta.url));
  return startPeer('oneDNN', tool, [String(threads)]);
}

/** node-llama-cpp, from the folder that EMU_LLAMA names or where Node finds it: the decode of a layer. */
export function startLlama(threads: number): Promise<Peer | undefined> {
  return startPeer('node-llama-cpp', process.execPath, [peerFile('llama_peer.mjs'), String(threads)]);
}
