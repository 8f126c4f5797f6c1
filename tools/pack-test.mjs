// Packs every published package, installs the tarballs into an empty folder and uses them there as a stranger would:
// from ESM, from require(), from the command line, and from TypeScript. The packages must be built.
//   node tools/pack-test.mjs [--keep]
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runChecks, Skip } from './checks.mjs';
import { makeDemoModel } from './demo-model.mjs';
import { root } from './setup.mjs';

const published = ['program', 'data', 'proto', 'native', 'sdk', 'eval', 'grpc-server', 'cli'];
const folder = mkdtempSync(join(tmpdir(), 'emu-pack-'));
const consumer = join(folder, 'consumer');
const photograph = join(root, 'testdata', 'pictures', 'chelsea.png');
const model = await makeDemoModel();

function output(command, args, cwd = consumer) {
  const result = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: 300_000 });
  if (result.error) throw result.error;
  if (result.status !== 0) {
    throw new Error(
      `${command} ${args.join(' ')} ended with ${result.status}\n${result.stdout}${result.stderr}`,
    );
  }
  return result.stdout;
}

function expectMatch(text, pattern) {
  if (!pattern.test(text)) throw new Error(`${pattern} was expected in\n${text}`);
}

function manifest(name) {
  return JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'));
}

/** Packs one package; the tarball must hold all that its package.json names, README and licence, and no sources. */
function pack(name) {
  const directory = join(root, 'packages', name);
  const [{ filename, files }] = JSON.parse(
    output('npm', ['pack', '--json', '--pack-destination', folder], directory),
  );
  tarballs[`@emu/${name}`] = join(folder, filename);
  const paths = files.map(({ path }) => path);
  const needed = ['README.md', 'LICENSE', 'package.json', ...entryFiles(manifest(name))];
  if (name === 'native') needed.push('build/Release/emu_native.node');
  const missing = needed.filter((path) => !paths.includes(path));
  if (missing.length > 0) throw new Error(`the tarball lacks ${missing.join(', ')}`);
  const foreign = paths.filter((path) => /^src\/|\.test\.|node_modules|\.cc$/.test(path));
  if (foreign.length > 0) throw new Error(`the tarball holds ${foreign.slice(0, 5).join(', ')}`);
  const licences = [root, directory].map((place) => readFileSync(join(place, 'LICENSE'), 'utf8'));
  if (licences[0] !== licences[1]) throw new Error('LICENSE is not that of the repository');
}

/** Every file that exports and bin point to, but for the sources that only this repository sees. */
function entryFiles({ exports = {}, bin = {} }) {
  const found = [];
  const visit = (value, key) => {
    if (typeof value === 'string' && key !== 'emu-source') found.push(value.replace('./', ''));
    else if (typeof value === 'object') for (const [inner, next] of Object.entries(value)) visit(next, inner);
  };
  visit([exports, bin]);
  return found;
}

const tarballs = {};

function install() {
  mkdirSync(consumer);
  const dependencies = Object.fromEntries(
    Object.entries(tarballs).map(([name, path]) => [name, `file:${path}`]),
  );
  writeFileSync(join(consumer, 'package.json'), JSON.stringify({ private: true, dependencies }));
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  output('npm', ['install', '--prefer-offline', ...quiet]);
  for (const name of published) {
    const installed = join(consumer, 'node_modules', '@emu', name);
    if (!existsSync(installed)) throw new Error(`${installed} is not there`);
    const { scripts = {} } = manifest(name);
    const hook = ['preinstall', 'install', 'postinstall', 'prepare'].find((script) => script in scripts);
    if (hook) throw new Error(`@emu/${name} has an ${hook} script; installing must run nothing`);
  }
}

/** What an application is made of, once for each way of loading modules. */
const body = `
async function main() {
  const emu = await Emu.fromPretrained(process.argv[2], { threads: 1 });
  try {
    const stream = emu.caption(image(process.argv[3]), { maxNewTokens: 4, numBeams: 1 });
    const { usage } = await stream.result();
    console.log(emu.model.device.name, usage.completionTokens, 'tokens');
  } finally {
    await emu.dispose();
  }
}
main();
`;

function runProgram(file, imports) {
  writeFileSync(join(consumer, file), imports + body);
  expectMatch(output(process.execPath, [file, model, photograph]), /^cpu [1-4] tokens$/m);
}

/** Every subpath of every package, loaded by \`load\`, which makes an expression of a specifier. */
function subpaths() {
  return published.flatMap((name) =>
    Object.keys(manifest(name).exports ?? {})
      .filter((path) => !path.endsWith('/testing'))
      .map((path) => `@emu/${name}${path.slice(1)}`),
  );
}

function loadSubpaths(file, expression) {
  const lines = subpaths().map(
    (specifier) => `check(${JSON.stringify(specifier)}, ${expression(specifier)});`,
  );
  const check =
    'function check(name, module) { if (Object.keys(module).length === 0) throw new Error(name); }';
  writeFileSync(join(consumer, file), [check, ...lines, `console.log('loaded ${lines.length}');`].join('\n'));
  expectMatch(output(process.execPath, [file]), new RegExp(`loaded ${subpaths().length}`));
}

const typedProgram = `
import { Emu, EmuError, image, type GenerationEvent, type GenerationResult } from '@emu/sdk';
import { openModelFolder, type ModelFolder } from '@emu/sdk/weights';
import { EmuTokenizer } from '@emu/sdk/tokenizer';
import { initializeCheckpoint } from '@emu/sdk/initialize';
import { CpuBackend } from '@emu/native';
import type { Backend } from '@emu/program';

const backend: Backend = new CpuBackend();
export async function caption(emu: Emu): Promise<GenerationResult> {
  const stream = emu.caption(image('cat.png'), { maxNewTokens: 4 });
  for await (const event of stream) {
    const seen: GenerationEvent['type'] = event.type;
    if (event.type === 'text') console.log(seen, event.text.length);
  }
  // @ts-expect-error -- a number is no text: the types are there, and are not any
  emu.caption(image('cat.png'), { lead: 3 });
  return stream.result();
}
export { backend, EmuError, EmuTokenizer, initializeCheckpoint, openModelFolder, type ModelFolder };
`;
/** What only the Node entry has. */
const nodeProgram = `
import { Emu } from '@emu/sdk';
export const opened: Promise<Emu> = Emu.fromPretrained('model', { device: 'cpu', dtype: 'bf16' });
`;

function typeCheck(name, compilerOptions, sources) {
  const directory = join(consumer, name);
  mkdirSync(directory);
  for (const [file, text] of Object.entries(sources)) writeFileSync(join(directory, file), text);
  const common = {
    strict: true,
    noEmit: true,
    target: 'ES2023',
    lib: ['ES2023', 'DOM', 'DOM.AsyncIterable', 'ESNext.Disposable'],
    types: [],
  };
  const options = { ...common, exactOptionalPropertyTypes: true, skipLibCheck: false, ...compilerOptions };
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions: options }));
  output(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', directory]);
}

function publint(name) {
  const bin = join(root, 'node_modules', 'publint', 'src', 'cli.js');
  if (!existsSync(bin)) throw new Skip('publint is not installed');
  output(process.execPath, [bin, 'run', tarballs[`@emu/${name}`], '--level', 'error'], root);
}

function emu(args) {
  return output(join(consumer, 'node_modules', '.bin', 'emu'), args);
}

const esmImports = "import { Emu, image } from '@emu/sdk';\n";
const requireImports = "const { Emu, image } = require('@emu/sdk');\n";

await runChecks([
  ...published.map((name) => ({ name: `npm pack @emu/${name}`, run: () => pack(name) })),
  ...published.map((name) => ({ name: `publint @emu/${name}`, run: () => publint(name) })),
  { name: 'npm install into an empty folder, without scripts', run: install },
  { name: 'an ESM program describes a photograph', run: () => runProgram('program.mjs', esmImports) },
  { name: 'a CommonJS program describes a photograph', run: () => runProgram('program.cjs', requireImports) },
  {
    name: 'every subpath can be imported',
    run: () => loadSubpaths('subpaths.mjs', (specifier) => `await import(${JSON.stringify(specifier)})`),
  },
  {
    name: 'every subpath can be required',
    run: () => loadSubpaths('subpaths.cjs', (specifier) => `require(${JSON.stringify(specifier)})`),
  },
  {
    name: 'types, moduleResolution nodenext, ESM and CommonJS',
    run: () =>
      typeCheck(
        'nodenext',
        { module: 'nodenext', moduleResolution: 'nodenext' },
        {
          'program.mts': typedProgram,
          'program.cts': typedProgram,
          'node.mts': nodeProgram,
        },
      ),
  },
  {
    name: 'types, moduleResolution bundler',
    run: () =>
      typeCheck('bundler', { module: 'esnext', moduleResolution: 'bundler' }, { 'program.ts': typedProgram }),
  },
  {
    name: 'types, moduleResolution bundler for Node',
    run: () =>
      typeCheck(
        'bundler-node',
        { module: 'esnext', moduleResolution: 'bundler', customConditions: ['node'] },
        {
          'program.ts': typedProgram,
          'node.ts': nodeProgram,
        },
      ),
  },
  {
    name: 'emu --version',
    run: () => expectMatch(emu(['--version']), new RegExp(`^${manifest('cli').version}$`, 'm')),
  },
  {
    name: 'emu caption',
    run: () => expectMatch(emu(['caption', '--model', model, '--max-new-tokens', '4', photograph]), /\S/),
  },
]);
if (process.argv.includes('--keep')) console.error(`kept: ${folder}`);
else rmSync(folder, { recursive: true, force: true });
