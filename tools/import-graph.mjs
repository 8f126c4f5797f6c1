// Reads which file imports which: TypeScript through the compiler's parser, C++ through its #include lines.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import ts from 'typescript';

/**
 * One import as it is written.
 * @typedef {object} Import
 * @property {string} from path of the importing file, relative to the root, with forward slashes
 * @property {number} line
 * @property {string} text the specifier or the quoted path
 * @property {'static' | 'dynamic' | 'type'} kind type-only imports are erased, so they load nothing
 */

/** Paths below `directory` (relative to `root`) whose name matches, sorted; [] when there is no such folder. */
export function filesBelow(root, directory, pattern) {
  const start = join(root, directory);
  if (!existsSync(start)) return [];
  const found = [];
  for (const entry of readdirSync(start, { withFileTypes: true })) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory()) {
      if (!['node_modules', 'dist', 'build'].includes(entry.name))
        found.push(...filesBelow(root, path, pattern));
    } else if (pattern.test(entry.name)) {
      found.push(path);
    }
  }
  return found.sort();
}

function literalText(node) {
  return node !== undefined && ts.isStringLiteralLike(node) ? node.text : undefined;
}

function importOf(node) {
  if (ts.isImportDeclaration(node)) {
    const text = literalText(node.moduleSpecifier);
    return text === undefined ? undefined : { text, kind: node.importClause?.isTypeOnly ? 'type' : 'static' };
  }
  if (ts.isExportDeclaration(node)) {
    const text = literalText(node.moduleSpecifier);
    return text === undefined ? undefined : { text, kind: node.isTypeOnly ? 'type' : 'static' };
  }
  if (ts.isImportTypeNode(node)) {
    const text = literalText(node.argument.literal);
    return text === undefined ? undefined : { text, kind: 'type' };
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const text = literalText(node.arguments[0]);
    return text === undefined ? undefined : { text, kind: 'dynamic' };
  }
  return undefined;
}

/** @returns {Import[]} the imports of one TypeScript file, type positions and `import()` included */
export function typescriptImports(root, path) {
  const source = ts.createSourceFile(path, readFileSync(join(root, path), 'utf8'), ts.ScriptTarget.Latest);
  const imports = [];
  const visit = (node) => {
    const found = importOf(node);
    if (found !== undefined) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
      imports.push({ from: path, line: line + 1, ...found });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return imports;
}

/** @returns {Import[]} the quoted includes of one C++ file; those in angle brackets are the system's */
export function quotedIncludes(root, path) {
  return readFileSync(join(root, path), 'utf8')
    .split('\n')
    .flatMap((text, index) => {
      const match = /^\s*#\s*include\s*"([^"]+)"/.exec(text);
      return match === null ? [] : [{ from: path, line: index + 1, text: match[1], kind: 'static' }];
    });
}

/** The file a relative import means, relative to `root`: `./a.js` is a.ts. */
export function relativeTarget(root, { from, text }) {
  const path = relative(root, resolve(root, dirname(from), text))
    .split(sep)
    .join('/');
  const source = path.replace(/\.js$/, '.ts');
  return existsSync(join(root, source)) ? source : path;
}

/**
 * A shortest cycle through each node that lies on one, every cycle once, starting at its first node in sorted order.
 * @param {Map<string, readonly string[]>} edges
 */
export function cyclesOf(edges) {
  const cycles = new Map();
  for (const start of [...edges.keys()].sort()) {
    const cycle = shortestCycle(edges, start);
    if (cycle === undefined) continue;
    const first = cycle.indexOf([...cycle].sort()[0]);
    const rotated = [...cycle.slice(first), ...cycle.slice(0, first)];
    cycles.set(rotated.join(' '), rotated);
  }
  return [...cycles.values()];
}

function shortestCycle(edges, start) {
  const cameFrom = new Map();
  const queue = [start];
  for (const node of queue) {
    for (const next of edges.get(node) ?? []) {
      if (next === start) return pathTo(node, start, cameFrom);
      if (cameFrom.has(next)) continue;
      cameFrom.set(next, node);
      queue.push(next);
    }
  }
  return undefined;
}

function pathTo(node, start, cameFrom) {
  const path = [node];
  while (path[0] !== start) path.unshift(cameFrom.get(path[0]));
  return path;
}
