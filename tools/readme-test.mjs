// Runs the snippets of every README and page that are marked as runnable, as written, on the demo model.
//   node tools/readme-test.mjs [FILE.md ...]
//
// A fence is run when its first line is ```js run, ```ts run or ```sh run. The snippet finds itself in a folder where
// `out/emu-demo` is the demo model, `cat.png` a photograph, and models/, testdata/ and examples/ those of the
// repository; what it writes stays in out/snippets. js and ts are modules and import packages by name; sh runs in bash,
// stops at the first command that fails, and has `emu` on its PATH. A snippet passes when it ends with 0.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join, relative } from 'node:path';
import { runChecks } from './checks.mjs';
import { demoModel, makeDemoModel } from './demo-model.mjs';
import { root } from './setup.mjs';

const scratch = join(root, 'out', 'snippets');

/** The pages that may hold snippets: the root's, those of packages and examples, and docs. */
function pages() {
  const found = ['README.md', 'ARCHITECTURE.md', 'examples/README.md'];
  for (const name of readdirSync(join(root, 'packages'))) found.push(`packages/${name}/README.md`);
  for (const path of readdirSync(join(root, 'docs'), { recursive: true })) {
    if (path.endsWith('.md')) found.push(join('docs', path));
  }
  return found.filter((path) => existsSync(join(root, path))).sort();
}

/** Runnable snippets of a page: language, text, and the line they begin at. */
export function runnableSnippets(markdown) {
  const snippets = [];
  let open;
  markdown.split('\n').forEach((line, index) => {
    const fence = /^```(\S*)[ \t]*(.*)$/.exec(line);
    if (open === undefined && fence) {
      open = { language: fence[1], isRun: fence[2].split(/\s+/).includes('run'), line: index + 2, text: [] };
    } else if (open !== undefined && line.trimEnd() === '```') {
      if (open.isRun) snippets.push({ language: open.language, line: open.line, text: open.text.join('\n') });
      open = undefined;
    } else {
      open?.text.push(line);
    }
  });
  return snippets;
}

function prepareFolder() {
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(join(scratch, 'out'), { recursive: true });
  mkdirSync(join(scratch, 'bin'));
  const links = {
    'out/emu-demo': demoModel,
    'cat.png': join(root, 'testdata', 'pictures', 'chelsea.png'),
    models: join(root, 'models'),
    testdata: join(root, 'testdata'),
    examples: join(root, 'examples'),
  };
  for (const [name, target] of Object.entries(links)) symlinkSync(target, join(scratch, name));
  const main = join(root, 'packages', 'cli', 'dist', 'main.js');
  const command = `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`;
  writeFileSync(join(scratch, 'bin', 'emu'), command, { mode: 0o755 });
}

const runners = {
  js: (text, name) => [process.execPath, [write(`${name}.mjs`, text)]],
  ts: async (text, name) => [process.execPath, [write(`${name}.mjs`, await withoutTypes(text))]],
  sh: (text) => ['bash', ['-euo', 'pipefail', '-c', text]],
};

function write(name, text) {
  const path = join(scratch, name);
  writeFileSync(path, text);
  return path;
}

/** JavaScript for the oldest Node we run on. Types are checked by the test of the packages, not here. */
async function withoutTypes(text) {
  const { default: typescript } = await import('typescript');
  const { ScriptTarget, ModuleKind } = typescript;
  const compilerOptions = { target: ScriptTarget.ES2022, module: ModuleKind.ESNext };
  return typescript.transpileModule(text, { compilerOptions }).outputText;
}

async function runSnippet({ language, text }, name) {
  const runner = runners[language];
  if (!runner) throw new Error(`a fence of "${language}" cannot be run; js, ts and sh can`);
  const [command, args] = await runner(text, name);
  const environment = {
    ...process.env,
    PATH: `${join(scratch, 'bin')}${delimiter}${process.env.PATH}`,
    EMU_THREADS: process.env.EMU_THREADS ?? '1',
  };
  const result = spawnSync(command, args, {
    cwd: scratch,
    env: environment,
    encoding: 'utf8',
    timeout: 120_000,
  });
  if (result.error) throw result.error;
  if (result.status !== 0) throw new Error(`ended with ${result.status}\n${result.stdout}${result.stderr}`);
}

await makeDemoModel();
prepareFolder();
const chosen = process.argv.slice(2).map((path) => relative(root, path));
const checks = (chosen.length > 0 ? chosen : pages()).flatMap((path) =>
  runnableSnippets(readFileSync(join(root, path), 'utf8')).map((snippet) => ({
    name: `${path}:${snippet.line} (${snippet.language})`,
    run: () => runSnippet(snippet, `${path.replaceAll(/[^a-z0-9]+/gi, '-')}-${snippet.line}`),
  })),
);
await runChecks(checks);
