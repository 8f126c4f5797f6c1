// Makes a fresh clone ready: checks the machine, installs packages, builds. Plain Node, no dependencies, because it
// runs before anything is installed. `npm run demo` and `npm test` both start here.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Runs a command with its output on stderr; throws with the command's name when it fails. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], ...options });
  if (result.error) throw new Error(`${command} could not be started: ${result.error.message}`);
  if (result.status !== 0)
    throw new Error(`${command} ${args.join(' ')} ended with ${result.status ?? result.signal}`);
}

function works(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
}

function checkMachine() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new Error(`Node ${process.versions.node} is too old: Emu SDK needs 20.19 or newer.`);
  }
  const missing = [];
  if (!works('cmake')) missing.push('cmake');
  if (!works(process.env.CXX ?? 'c++')) missing.push('a C++20 compiler (g++ 11+ or clang++ 14+)');
  if (missing.length > 0) {
    throw new Error(
      `${missing.join(' and ')} not found. Debian and Ubuntu: apt-get install -y cmake g++ ninja-build; ` +
        'macOS: xcode-select --install and brew install cmake.',
    );
  }
}

function installPackages() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const stamp = join(root, 'node_modules', '.emu-lock');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  console.error('Installing packages ...');
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, lock);
}

/** Installs what package-lock.json names and builds every package; quick when nothing changed. */
export function setUp() {
  checkMachine();
  installPackages();
  console.error('Building ...');
  run('npx', ['nx', 'run-many', '-t', 'build', '--output-style=stream']);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    setUp();
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}
