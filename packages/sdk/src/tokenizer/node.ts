/* What needs Node: reading the files. */
export { readTokenizer } from './read-tokenizer-node.js';
