// Writes a LLaMA of random weights as a GGUF file (version 3): enough for llama.cpp to load and time, no more.
import { closeSync, openSync, writeSync } from 'node:fs';

const alignment = 32;
const valueTypes = { u32: 4, i32: 5, f32: 6, string: 8, array: 9 };
const tensorTypes = { f32: 0, bf16: 30 };
const bytesOf = { f32: 4, bf16: 2 };
const blockElements = 1 << 20;

/** Tokens of the file: unknown, begin, end, and one per byte; token types 2, 3 and 6 are llama.cpp's. */
const vocabulary = [
  ...['<unk>', '<s>', '</s>'].map((text, id) => ({ text, type: id === 0 ? 2 : 3 })),
  ...Array.from({ length: 256 }, (_, byte) => ({
    text: `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
    type: 6,
  })),
];

/**
 * @param {string} path file to write
 * @param {{layers: number, width: number, heads: number, feedForwardWidth: number, contextLength: number}} sizes
 * @param {'f32' | 'bf16'} dtype of the matrices; norms are f32
 */
export function writeSyntheticGguf(path, sizes, dtype) {
  const tensors = tensorsOf(sizes, dtype);
  const norms = ones();
  const matrices = randomBlock(dtype);
  const file = openSync(path, 'w');
  try {
    const header = padded(headerOf(metadataOf(sizes), tensors));
    writeSync(file, header);
    let position = header.length;
    for (const { dtype: tensorDtype, elements, isNorm } of tensors) {
      const block = isNorm ? norms : matrices;
      const bytes = elements * bytesOf[tensorDtype];
      for (let at = 0; at < bytes; at += block.length) {
        writeSync(file, block, 0, Math.min(block.length, bytes - at), position + at);
      }
      position += alignUp(bytes);
    }
  } finally {
    closeSync(file);
  }
}

function tensorsOf({ layers, width, feedForwardWidth }, dtype) {
  const matrix = (name, inputs, outputs) => ({
    name,
    shape: [inputs, outputs],
    dtype,
    elements: inputs * outputs,
  });
  const norm = (name) => ({ name, shape: [width], dtype: 'f32', elements: width, isNorm: true });
  const layer = (index) => [
    norm(`blk.${index}.attn_norm.weight`),
    ...['q', 'k', 'v', 'output'].map((part) => matrix(`blk.${index}.attn_${part}.weight`, width, width)),
    norm(`blk.${index}.ffn_norm.weight`),
    matrix(`blk.${index}.ffn_gate.weight`, width, feedForwardWidth),
    matrix(`blk.${index}.ffn_up.weight`, width, feedForwardWidth),
    matrix(`blk.${index}.ffn_down.weight`, feedForwardWidth, width),
  ];
  return [
    matrix('token_embd.weight', width, vocabulary.length),
    ...Array.from({ length: layers }, (_, index) => layer(index)).flat(),
    norm('output_norm.weight'),
    matrix('output.weight', width, vocabulary.length),
  ];
}

function metadataOf({ layers, width, heads, feedForwardWidth, contextLength }) {
  return [
    ['general.architecture', 'string', 'llama'],
    ['llama.context_length', 'u32', contextLength],
    ['llama.embedding_length', 'u32', width],
    ['llama.block_count', 'u32', layers],
    ['llama.feed_forward_length', 'u32', feedForwardWidth],
    ['llama.attention.head_count', 'u32', heads],
    ['llama.attention.layer_norm_rms_epsilon', 'f32', 1e-6],
    ['llama.rope.dimension_count', 'u32', width / heads],
    ['llama.vocab_size', 'u32', vocabulary.length],
    ['tokenizer.ggml.model', 'string', 'llama'],
    ['tokenizer.ggml.tokens', 'array', { type: 'string', values: vocabulary.map(({ text }) => text) }],
    ['tokenizer.ggml.scores', 'array', { type: 'f32', values: vocabulary.map(() => 0) }],
    ['tokenizer.ggml.token_type', 'array', { type: 'i32', values: vocabulary.map(({ type }) => type) }],
    ['tokenizer.ggml.bos_token_id', 'u32', 1],
    ['tokenizer.ggml.eos_token_id', 'u32', 2],
  ];
}

const encoders = {
  u32: (value) => number(4, (buffer) => buffer.writeUInt32LE(value)),
  u64: (value) => number(8, (buffer) => buffer.writeBigUInt64LE(BigInt(value))),
  i32: (value) => number(4, (buffer) => buffer.writeInt32LE(value)),
  f32: (value) => number(4, (buffer) => buffer.writeFloatLE(value)),
  string: (value) => Buffer.concat([encoders.u64(Buffer.byteLength(value)), Buffer.from(value)]),
  array: ({ type, values }) =>
    Buffer.concat([
      encoders.u32(valueTypes[type]),
      encoders.u64(values.length),
      ...values.map(encoders[type]),
    ]),
};

function number(bytes, write) {
  const buffer = Buffer.alloc(bytes);
  write(buffer);
  return buffer;
}

function headerOf(metadata, tensors) {
  const parts = [
    Buffer.from('GGUF'),
    encoders.u32(3),
    encoders.u64(tensors.length),
    encoders.u64(metadata.length),
  ];
  for (const [key, type, value] of metadata) {
    parts.push(encoders.string(key), encoders.u32(valueTypes[type]), encoders[type](value));
  }
  let offset = 0;
  for (const { name, shape, dtype, elements } of tensors) {
    parts.push(encoders.string(name), encoders.u32(shape.length), ...shape.map(encoders.u64));
    parts.push(encoders.u32(tensorTypes[dtype]), encoders.u64(offset));
    offset += alignUp(elements * bytesOf[dtype]);
  }
  return Buffer.concat(parts);
}

function alignUp(bytes) {
  return Math.ceil(bytes / alignment) * alignment;
}

function padded(buffer) {
  return Buffer.concat([buffer, Buffer.alloc(alignUp(buffer.length) - buffer.length)]);
}

function ones() {
  return Buffer.from(new Float32Array(blockElements).fill(1).buffer);
}

/** Values within ±0.03, whose spread is near that of trained matrices; nothing becomes a denormal. */
function randomBlock(dtype) {
  const values = new Float32Array(blockElements);
  for (let index = 0; index < blockElements; index++) values[index] = 0.06 * (Math.random() - 0.5);
  if (dtype === 'f32') return Buffer.from(values.buffer);
  const bits = new Uint32Array(values.buffer);
  const halves = new Uint16Array(blockElements);
  for (let index = 0; index < blockElements; index++) halves[index] = bits[index] >>> 16;
  return Buffer.from(halves.buffer);
}
