// Who may import whom. Prints `file:line imports X: because ...` for every import that breaks a rule and ends with
// 1 if there is one. The tables below are the rules; docs and reviews refer to them.
//   node tools/check-imports.mjs [root]
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cyclesOf, filesBelow, quotedIncludes, relativeTarget, typescriptImports } from './import-graph.mjs';

/** Our packages that each of our packages may import. Tests may also import those of `testsAlso`. */
export const packageRules = {
  program: [],
  data: [],
  proto: [],
  native: ['program'],
  wasm: ['program'],
  // The samples it trains on are data's; the wire its client speaks is proto's.
  sdk: ['program', 'data', 'proto'],
  eval: ['program', 'sdk', 'data'],
  'grpc-server': ['program', 'sdk', 'proto'],
  // program for its error and types; what runs a model comes through sdk. Its load on a server speaks the wire itself.
  cli: ['program', 'proto', 'sdk', 'data', 'eval', 'grpc-server'],
  bench: ['program', 'native', 'sdk', 'data'],
};
export const testsAlso = { sdk: ['native'], eval: ['native'], 'grpc-server': ['native'], cli: ['native'] };

/** Files that may import a package beyond the rule of theirs: the places where a backend is chosen. */
export const fileExceptions = {
  'packages/sdk/src/node.ts': ['native', 'wasm'],
  'packages/sdk/src/node-device.ts': ['native', 'wasm'],
  'packages/sdk/src/browser.ts': ['wasm'],
  // It tells what is wrong with the native backend when sdk cannot load it.
  'packages/cli/src/commands/doctor.ts': ['native'],
};

/**
 * Parts of sdk/src: a folder, or a file directly in src by its name without the ending. Each may load the parts of
 * its line besides itself; parts without a line (the entries node and browser, and what is built on all the others, such as train)
 * may load every part, and none that has a line may load them. Only imports that load something count: the
 * decoder's session type, say, may be named by a loop that is handed a session.
 */
export const sdkParts = {
  rounding: [],
  nn: [],
  tokenizer: [],
  weights: [],
  diffusion: ['nn', 'rounding'],
  image: [],
  video: ['image', 'rounding'],
  // What an official checkpoint holds beyond the model is known where its names are.
  models: ['nn', 'weights'],
  generate: ['models', 'nn', 'diffusion', 'tokenizer', 'image', 'video', 'weights'],
};

/** Entries that must run where there is no Node: nothing they load at once may import a node: module or @emu/native. */
export const browserEntries = [
  'packages/program/src/index.ts',
  'packages/sdk/src/index.ts',
  'packages/sdk/src/browser.ts',
  'packages/sdk/src/models/index.ts',
  'packages/sdk/src/diffusion/index.ts',
  'packages/sdk/src/generate/index.ts',
];

/** Folders of cpp that each folder may include. One folder of cpp/ops never includes another. */
export const cppLayers = {
  base: ['base'],
  ops: ['ops', 'base'],
  runtime: ['runtime', 'ops', 'base'],
  tools: ['tools', 'runtime', 'ops', 'base'],
};
const addonLayers = ['runtime', 'base'];

const isTest = (path) => /\.test\.ts$/.test(path) || /\/src\/testing\//.test(path);
const isCppTest = (path) => /_(test|fuzz)\.cc$/.test(path) || /\/base\/test[^/]*\.h$/.test(path);

/** @returns {string[]} one sentence for every broken rule below `root` */
export function brokenRules(root) {
  return [...packageProblems(root), ...cppProblems(root)];
}

function packageProblems(root) {
  const directory = join(root, 'packages');
  const names = existsSync(directory) ? readdirSync(directory).sort() : [];
  return names.flatMap((name) => {
    const files = filesBelow(root, `packages/${name}/src`, /\.tsx?$/);
    const imports = files.flatMap((path) => typescriptImports(root, path));
    return [
      ...imports.flatMap((each) => problemsOf(root, name, each)),
      ...cycleProblems(root, imports),
      ...browserEntries
        .filter((entry) => files.includes(entry))
        .flatMap((entry) => nodeProblems(root, entry, imports)),
    ];
  });
}

function problem({ from, line, text }, because) {
  return `${from}:${line} imports ${text}: because ${because}`;
}

function problemsOf(root, name, each) {
  if (each.text.startsWith('.')) return relativeProblems(root, name, each);
  const [scope, other, ...rest] = each.text.split('/');
  if (scope !== '@emu' || other === undefined) return [];
  if (rest[0] === 'src' || rest[0] === 'dist') {
    return [problem(each, `a package is imported by its exports, never by its ${rest[0]}/`)];
  }
  if (other === name || !(name in packageRules)) {
    const rule =
      other === name
        ? `inside @emu/${name} imports are relative`
        : `${name} has no line in packageRules of tools/check-imports.mjs`;
    return [problem(each, rule)];
  }
  const allowed = [
    ...packageRules[name],
    ...(isTest(each.from) ? (testsAlso[name] ?? []) : []),
    ...(fileExceptions[each.from] ?? []),
  ];
  if (!allowed.includes(other))
    return [problem(each, `${name} may import ${list(allowed)}${exceptionHint(name, other)}`)];
  return undeclared(root, name, other)
    ? [problem(each, `packages/${name}/package.json does not name it`)]
    : [];
}

function list(names) {
  return names.length === 0 ? 'none of our packages' : `only ${[...new Set(names)].join(', ')}`;
}

function exceptionHint(name, other) {
  const files = Object.keys(fileExceptions).filter(
    (file) => file.startsWith(`packages/${name}/`) && fileExceptions[file].includes(other),
  );
  return files.length === 0 ? '' : `; ${other} is for ${files.join(' and ')}`;
}

function undeclared(root, name, other) {
  const path = join(root, 'packages', name, 'package.json');
  if (!existsSync(path)) return true;
  const manifest = JSON.parse(readFileSync(path, 'utf8'));
  const kinds = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'];
  return !kinds.some((kind) => `@emu/${other}` in (manifest[kind] ?? {}));
}

function relativeProblems(root, name, each) {
  const target = relativeTarget(root, each);
  const own = `packages/${name}/src/`;
  if (!target.startsWith(own))
    return [problem(each, `it leads out of ${own} to ${target}; other packages are imported by name`)];
  if (isTest(each.from)) return [];
  if (isTest(target)) return [problem(each, 'only tests import tests and src/testing')];
  return name === 'sdk' ? sdkPartProblems(each, each.from.slice(own.length), target.slice(own.length)) : [];
}

function sdkPartProblems(each, from, target) {
  const [fromPart, targetPart] = [from, target].map((path) => path.split('/')[0].replace(/\.ts$/, ''));
  const allowed = sdkParts[fromPart];
  if (
    each.kind === 'type' ||
    fromPart === targetPart ||
    allowed === undefined ||
    allowed.includes(targetPart)
  )
    return [];
  const may = allowed.length === 0 ? 'nothing else of sdk' : `only ${allowed.join(', ')}`;
  return [problem(each, `sdk/src/${fromPart} may load ${may}`)];
}

/** Types may refer to each other both ways: they are erased, and no load order hangs on them. */
function loadEdges(root, imports) {
  const edges = new Map();
  for (const each of imports) {
    if (each.kind !== 'static' || !each.text.startsWith('.')) continue;
    const target = relativeTarget(root, each);
    edges.set(each.from, [...(edges.get(each.from) ?? []), target]);
  }
  return edges;
}

function cycleProblems(root, imports) {
  return cyclesOf(loadEdges(root, imports)).map((cycle) => {
    const [from, next = from] = cycle;
    const each = imports.find(
      (one) => one.from === from && one.text.startsWith('.') && relativeTarget(root, one) === next,
    );
    return problem(each, `that closes a cycle: ${[...cycle, from].join(' -> ')}`);
  });
}

function nodeProblems(root, entry, imports) {
  const edges = loadEdges(root, imports);
  const cameFrom = new Map([[entry, undefined]]);
  const queue = [entry];
  for (const path of queue) {
    for (const next of edges.get(path) ?? []) {
      if (cameFrom.has(next)) continue;
      cameFrom.set(next, path);
      queue.push(next);
    }
  }
  return imports
    .filter(
      ({ from, kind, text }) =>
        kind === 'static' && /^(node:|@emu\/native$)/.test(text) && cameFrom.has(from),
    )
    .map((each) => {
      const chain = [];
      for (let path = each.from; path !== undefined; path = cameFrom.get(path)) chain.unshift(path);
      return problem(each, `${entry} runs in a browser and reaches it: ${chain.join(' -> ')}`);
    });
}

function cppProblems(root) {
  const core = filesBelow(root, 'cpp', /\.(h|cc|cu|cuh|inc)$/).flatMap((path) => quotedIncludes(root, path));
  const addon = filesBelow(root, 'packages/native/addon', /\.(h|cc)$/).flatMap((path) =>
    quotedIncludes(root, path),
  );
  return [...core.flatMap(coreProblems), ...addon.flatMap(addonProblems)];
}

function includeProblem({ from, line, text }, because) {
  return `${from}:${line} includes ${text}: because ${because}`;
}

function coreProblems(each) {
  const [, layer, folder] = each.from.split('/');
  const [targetLayer, targetFolder] = each.text.split('/');
  const layers = cppLayers[layer];
  if (layers === undefined)
    return [includeProblem(each, `cpp/${layer} has no line in cppLayers of tools/check-imports.mjs`)];
  if (!(targetLayer in cppLayers) || targetFolder === undefined) {
    return [includeProblem(each, 'a path starts at cpp/: "base/...", "ops/...", "runtime/..."')];
  }
  // A test may look an op up by name and run it through the runtime.
  const allowed = isCppTest(each.from) ? [...layers, 'runtime'] : layers;
  if (!allowed.includes(targetLayer))
    return [includeProblem(each, `cpp/${layer} may include only ${allowed.join(', ')}`)];
  if (layer === 'ops' && targetLayer === 'ops' && targetFolder !== folder) {
    return [
      includeProblem(
        each,
        'one folder of cpp/ops never includes another; what two ops share lies in cpp/base',
      ),
    ];
  }
  return [];
}

function addonProblems(each) {
  if (!each.text.includes('/')) return [];
  const [layer] = each.text.split('/');
  return addonLayers.includes(layer)
    ? []
    : [includeProblem(each, `the addon may include only ${addonLayers.join(', ')}`)];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = process.argv[2] ?? dirname(dirname(fileURLToPath(import.meta.url)));
  const problems = brokenRules(root);
  for (const each of problems) console.error(each);
  console.log(
    problems.length === 0 ? 'Every import keeps the rules.' : `${problems.length} imports break the rules.`,
  );
  process.exitCode = problems.length === 0 ? 0 : 1;
}
