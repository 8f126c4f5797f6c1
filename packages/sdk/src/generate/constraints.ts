import { EmuError } from '@emu/program';

interface TrieNode {
  readonly children: Map<number, TrieNode>;
}

/**
 * Prefix tree over token sequences: limits generation to one of several answers.
 * Source: mm_eval/models/emu.py uses such a tree with </s> at the end of every answer.
 */
export class TokenTrie {
  readonly #root: TrieNode = { children: new Map() };

  /**
   * answers: token ids without <s>; </s> (`endId`) is put after each that does not end with it.
   * @throws EmuError INVALID_OPTION when there is no answer or one is empty.
   */
  constructor(answers: readonly (readonly number[])[], endId: number) {
    if (answers.length === 0)
      throw new EmuError('INVALID_OPTION', '[choices] there must be at least one choice');
    for (const [index, answer] of answers.entries()) {
      if (answer.length === 0 || answer[0] === endId) {
        throw new EmuError('INVALID_OPTION', `[choices] choice ${index} has no text`, { details: { index } });
      }
      this.#add(answer.at(-1) === endId ? answer : [...answer, endId]);
    }
  }

  /** Tokens that may follow `generated`; none when it is no beginning of an answer, or a whole one with </s>. */
  allowedAfter(generated: readonly number[]): readonly number[] {
    let node: TrieNode | undefined = this.#root;
    for (const id of generated) node = node?.children.get(id);
    return [...(node?.children.keys() ?? [])];
  }

  #add(answer: readonly number[]): void {
    let node = this.#root;
    for (const id of answer) {
      const next: TrieNode = node.children.get(id) ?? { children: new Map() };
      node.children.set(id, next);
      node = next;
    }
  }
}
