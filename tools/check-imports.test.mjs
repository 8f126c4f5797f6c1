import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { brokenRules } from './check-imports.mjs';
import { cyclesOf, typescriptImports } from './import-graph.mjs';

/** Writes the files into a new folder, hands it to `body` and removes it. */
function withTree(files, body) {
  const root = mkdtempSync(join(tmpdir(), 'emu-imports-'));
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(root, dirname(path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    return body(root);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

const manifest = (...dependencies) =>
  JSON.stringify({ dependencies: Object.fromEntries(dependencies.map((name) => [`@emu/${name}`, '0.1.0'])) });

function problems(files) {
  return withTree(files, brokenRules);
}

test('a tree that keeps the rules has no problem', () => {
  const files = {
    'packages/program/src/index.ts': `export * from './trace.js';\n`,
    'packages/program/src/trace.ts': `export const trace = 1;\n`,
    'packages/sdk/package.json': manifest('program', 'native'),
    'packages/sdk/src/models/llama.ts': `import { trace } from '@emu/program';\nimport { linear } from '../nn/linear.js';\n`,
    'packages/sdk/src/nn/linear.ts': `import { trace } from '@emu/program';\n`,
    'packages/sdk/src/node.ts': `import { CpuBackend } from '@emu/native';\nimport './models/llama.js';\n`,
    'packages/sdk/src/models/llama.test.ts': `import { CpuBackend } from '@emu/native';\n`,
    'cpp/base/op.h': `#include <vector>\n#include "base/status.h"\n`,
    'cpp/base/status.h': '',
    'cpp/ops/add/add.cc': `#include "ops/add/add.h"\n#include "base/op.h"\n`,
    'cpp/ops/add/add_test.cc': `#include "runtime/op_table.h"\n`,
    'cpp/runtime/op_table.cc': `#include "ops/table.inc"\n`,
    'packages/native/addon/addon.cc': `#include "dispatcher.h"\n#include "runtime/session.h"\n`,
  };
  assert.deepEqual(problems(files), []);
});

test('program imports nothing of ours', () => {
  assert.deepEqual(problems({ 'packages/program/src/a.ts': `\n\nimport { x } from '@emu/sdk';\n` }), [
    'packages/program/src/a.ts:3 imports @emu/sdk: because program may import none of our packages',
  ]);
});

test('a backend enters sdk through node.ts alone, also by import() and by type', () => {
  const files = {
    'packages/sdk/package.json': manifest('program', 'native'),
    'packages/sdk/src/session.ts': `const backend = await import('@emu/native');\ntype Cpu = import('@emu/native').CpuBackend;\n`,
  };
  const because =
    'because sdk may import only program, data, proto; native is for packages/sdk/src/node.ts and packages/sdk/src/node-device.ts';
  assert.deepEqual(problems(files), [
    `packages/sdk/src/session.ts:1 imports @emu/native: ${because}`,
    `packages/sdk/src/session.ts:2 imports @emu/native: ${because}`,
  ]);
});

test('a package is imported by its exports and named in package.json', () => {
  const files = {
    'packages/cli/package.json': manifest('program'),
    'packages/cli/src/a.ts': `import '@emu/program/src/errors.js';\nimport '@emu/sdk';\nimport '../../sdk/src/node.js';\n`,
    'packages/cli/src/b.ts': `import '@emu/cli/a';\n`,
  };
  assert.deepEqual(problems(files), [
    'packages/cli/src/a.ts:1 imports @emu/program/src/errors.js: because a package is imported by its exports, never by its src/',
    'packages/cli/src/a.ts:2 imports @emu/sdk: because packages/cli/package.json does not name it',
    'packages/cli/src/a.ts:3 imports ../../sdk/src/node.js: because it leads out of packages/cli/src/ to packages/sdk/src/node.js; other packages are imported by name',
    'packages/cli/src/b.ts:1 imports @emu/cli/a: because inside @emu/cli imports are relative',
  ]);
});

test('inside sdk loading goes downwards, while a type may be named from below', () => {
  const files = {
    'packages/sdk/src/nn/a.ts': `import { b } from '../models/b.js';\n`,
    'packages/sdk/src/models/b.ts': `import type { Step } from '../generate/step.js';\nexport const b = 1;\n`,
    'packages/sdk/src/models/c.ts': `export { d } from '../session.js';\n`,
    'packages/sdk/src/generate/step.ts': `import { b } from '../models/b.js';\nimport '../testing/data.js';\n`,
    'packages/sdk/src/session.ts': `export const d = 1;\n`,
    'packages/sdk/src/testing/data.ts': ``,
  };
  assert.deepEqual(problems(files), [
    'packages/sdk/src/generate/step.ts:2 imports ../testing/data.js: because only tests import tests and src/testing',
    'packages/sdk/src/models/c.ts:1 imports ../session.js: because sdk/src/models may load only nn, weights',
    'packages/sdk/src/nn/a.ts:1 imports ../models/b.js: because sdk/src/nn may load nothing else of sdk',
  ]);
});

test('files that load each other in a circle are named in order', () => {
  const files = {
    'packages/program/src/a.ts': `import { c } from './c.js';\nimport { b } from './b.js';\n`,
    'packages/program/src/b.ts': `export * from './a.js';\n`,
    'packages/program/src/c.ts': `import type { a } from './a.js';\n`,
  };
  assert.deepEqual(problems(files), [
    'packages/program/src/a.ts:2 imports ./b.js: because that closes a cycle: packages/program/src/a.ts -> packages/program/src/b.ts -> packages/program/src/a.ts',
  ]);
});

test('what the browser entry loads may not import node modules or the native backend, except on demand', () => {
  const files = {
    'packages/sdk/package.json': manifest('native'),
    'packages/sdk/src/browser.ts': `import './image/decode.js';\nimport './node-device.js';\n`,
    'packages/sdk/src/node-device.ts': `import { CpuBackend } from '@emu/native';\n`,
    'packages/sdk/src/node.ts': `import { open } from 'node:fs/promises';\n`,
    'packages/sdk/src/image/decode.ts': `import './read.js';\nconst fs = await import('node:fs');\n`,
    'packages/sdk/src/image/read.ts': `import type { Stats } from 'node:fs';\nimport { open } from 'node:fs/promises';\n`,
  };
  assert.deepEqual(problems(files), [
    'packages/sdk/src/image/read.ts:2 imports node:fs/promises: because packages/sdk/src/browser.ts runs in a browser and reaches it: packages/sdk/src/browser.ts -> packages/sdk/src/image/decode.ts -> packages/sdk/src/image/read.ts',
    'packages/sdk/src/node-device.ts:1 imports @emu/native: because packages/sdk/src/browser.ts runs in a browser and reaches it: packages/sdk/src/browser.ts -> packages/sdk/src/node-device.ts',
  ]);
});

test('in C++ layers point downwards and ops do not know each other', () => {
  const files = {
    'cpp/base/a.h': `#include "ops/add/add.h"\n`,
    'cpp/ops/add/add.cc': `#include "ops/multiply/multiply.h"\n  #  include "runtime/session.h"\n#include "add.h"\n`,
    'packages/native/addon/addon.cc': `#include "ops/add/add.h"\n`,
  };
  assert.deepEqual(problems(files), [
    'cpp/base/a.h:1 includes ops/add/add.h: because cpp/base may include only base',
    'cpp/ops/add/add.cc:1 includes ops/multiply/multiply.h: because one folder of cpp/ops never includes another; what two ops share lies in cpp/base',
    'cpp/ops/add/add.cc:2 includes runtime/session.h: because cpp/ops may include only ops, base',
    'cpp/ops/add/add.cc:3 includes add.h: because a path starts at cpp/: "base/...", "ops/...", "runtime/..."',
    'packages/native/addon/addon.cc:1 includes ops/add/add.h: because the addon may include only runtime, base',
  ]);
});

test('a new package needs a line in the table before it may import ours', () => {
  assert.deepEqual(problems({ 'packages/extra/src/a.ts': `import '@emu/sdk';\n` }), [
    'packages/extra/src/a.ts:1 imports @emu/sdk: because extra has no line in packageRules of tools/check-imports.mjs',
  ]);
});

test('imports are found by parsing, so neither comments nor texts count', () => {
  const text = `// import '@emu/a';\nconst s = "import '@emu/b'";\nexport type { T } from './t.js';\nimport {\n  x,\n} from './x.js';\n`;
  const found = withTree({ 'a.ts': text }, (root) => typescriptImports(root, 'a.ts'));
  assert.deepEqual(found, [
    { from: 'a.ts', line: 3, text: './t.js', kind: 'type' },
    { from: 'a.ts', line: 4, text: './x.js', kind: 'static' },
  ]);
});

test('every cycle is found once, from its first node', () => {
  const edges = new Map([
    ['d', ['b']],
    ['b', ['c', 'e']],
    ['c', ['b']],
    ['e', ['d']],
    ['f', ['f']],
    ['g', ['b']],
  ]);
  assert.deepEqual(cyclesOf(edges), [['b', 'c'], ['b', 'e', 'd'], ['f']]);
});
