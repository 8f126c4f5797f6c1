// `npm test`: sets the clone up, runs every suite, prints one table, and ends with "N passed, N failed".
//   node tools/test.mjs [--only NAME ...]   run some suites only
//   node tools/test.mjs --list              names of the suites
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, run, setUp } from './setup.mjs';

const scratch = mkdtempSync(join(tmpdir(), 'emu-test-'));

/** What the scripts of tools/ end with when a tool they need is not here; they say which. */
const skippedStatus = 77;

/** A suite of commands, each of which passes, fails or is skipped as a whole. */
function commands(name, list) {
  return {
    name,
    run() {
      const counts = { passed: 0, failed: 0, skipped: 0 };
      for (const [file, ...args] of list) {
        const { status } = spawnSync(file, args, { cwd: root, stdio: ['ignore', 2, 2] });
        counts[status === 0 ? 'passed' : status === skippedStatus ? 'skipped' : 'failed'] += 1;
      }
      return counts;
    },
  };
}

const command = (name, file, args) => commands(name, [[file, ...args]]);

/** A script whose last line is "N passed, N failed", perhaps with ", N skipped". */
function counted(name, file, args) {
  return {
    name,
    run() {
      const result = spawnSync(file, args, {
        cwd: root,
        stdio: ['ignore', 'pipe', 2],
        encoding: 'utf8',
        maxBuffer: 1 << 28,
      });
      process.stderr.write(result.stdout);
      const line = /(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$/.exec(result.stdout);
      if (line === null) return { passed: 0, failed: 1, skipped: 0 };
      const [passed, failed, skipped] = line.slice(1).map((digits) => Number(digits ?? 0));
      return { passed, failed: result.status === 0 ? failed : Math.max(failed, 1), skipped };
    },
  };
}

function vitest(name, directory) {
  return {
    name,
    run() {
      const report = join(scratch, `${name.replaceAll('/', '-')}.json`);
      const args = ['vitest', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
      const result = spawnSync('npx', args, { cwd: join(root, directory), stdio: ['ignore', 2, 2] });
      return vitestCounts(report, result.status);
    },
  };
}

function vitestCounts(report, status) {
  let counts;
  try {
    counts = JSON.parse(readFileSync(report, 'utf8'));
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const failed =
    counts.numFailedTests +
    counts.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0)
      .length;
  // A run that ends badly without a failed test, on an unhandled error say, has failed all the same.
  return {
    passed: counts.numPassedTests,
    failed: status === 0 ? failed : Math.max(failed, 1),
    skipped: counts.numPendingTests + counts.numTodoTests,
  };
}

/** Builds cpp/ in a folder of out/; returns it, or undefined when that fails. */
function builtCpp(folder, target, options = []) {
  const directory = join(root, 'out', folder);
  mkdirSync(directory, { recursive: true });
  try {
    run('cmake', ['-S', join(root, 'cpp'), '-B', directory, '-DEMU_TESTS=ON', ...options]);
    run('cmake', ['--build', directory, '--target', target, '-j', String(availableParallelism())]);
    return directory;
  } catch (error) {
    console.error(error.message);
    return undefined;
  }
}

/** The kernel objects, looked at for symbols that the linker could mix up between instruction sets. */
function symbols(name) {
  return {
    name,
    run() {
      const directory = builtCpp('cpp', 'emu_core');
      if (directory === undefined) return { passed: 0, failed: 1, skipped: 0 };
      return command(name, 'tools/check-weak-symbols.sh', [directory]).run();
    },
  };
}

function ctest(name, folder, options) {
  return {
    name,
    run() {
      const directory = builtCpp(folder, 'all', options);
      if (directory === undefined) return { passed: 0, failed: 1, skipped: 0 };
      const result = spawnSync('ctest', ['--output-on-failure', '-j', String(availableParallelism())], {
        cwd: directory,
        encoding: 'utf8',
        maxBuffer: 1 << 28,
      });
      process.stderr.write(result.stdout);
      const line = /(\d+) tests failed out of (\d+)/.exec(result.stdout);
      if (line === null) return { passed: 0, failed: 1, skipped: 0 };
      return { passed: Number(line[2]) - Number(line[1]), failed: Number(line[1]), skipped: 0 };
    },
  };
}

const suites = [
  command('imports', 'node', ['tools/check-imports.mjs']),
  command('types', 'npx', ['nx', 'run-many', '-t', 'typecheck', '--output-style=stream']),
  command('lint', 'npx', ['nx', 'run-many', '-t', 'lint', '--output-style=stream']),
  command('tools', 'node', ['--test', 'tools/check-imports.test.mjs', 'tools/model-card.test.mjs']),
  commands('format', [
    ['npx', 'prettier', '--check', 'packages/*/src/**/*.ts', 'tools/**/*.mjs', 'examples/**/*.mjs'],
    ['tools/lint-cpp.sh'],
  ]),
  command('aarch64', 'tools/check-aarch64.sh', []),
  ctest('cpp', 'cpp', []),
  symbols('symbols'),
  ctest('cpp-sanitized', 'cpp-sanitized', ['-DEMU_SANITIZE=ON']),
  command('fuzz-programs', 'tools/fuzz-programs.sh', ['20', 'out/fuzz']),
  vitest('program', 'packages/program'),
  vitest('native', 'packages/native'),
  vitest('data', 'packages/data'),
  vitest('proto', 'packages/proto'),
  vitest('sdk', 'packages/sdk'),
  vitest('eval', 'packages/eval'),
  vitest('grpc-server', 'packages/grpc-server'),
  vitest('cli', 'packages/cli'),
  vitest('bench', 'packages/bench'),
  counted('clients', 'node', ['tools/clients-test.mjs']),
  counted('examples', 'node', ['tools/examples-test.mjs']),
  counted('readme', 'node', ['tools/readme-test.mjs']),
  counted('pack', 'node', ['tools/pack-test.mjs']),
];

function main() {
  const args = process.argv.slice(2);
  if (args.includes('--list')) {
    console.log(suites.map((suite) => suite.name).join('\n'));
    return 0;
  }
  const only = args[0] === '--only' ? args.slice(1) : [];
  const unknown = only.find((name) => !suites.some((suite) => suite.name === name));
  if (unknown !== undefined) {
    console.error(`No suite is called ${unknown}; see --list.`);
    return 2;
  }
  setUp();
  const total = { passed: 0, failed: 0, skipped: 0 };
  const failures = [];
  for (const suite of suites) {
    if (only.length > 0 && !only.includes(suite.name)) continue;
    const start = Date.now();
    console.error(`\n== ${suite.name}`);
    const counts = suite.run();
    for (const key of Object.keys(total)) total[key] += counts[key];
    if (counts.failed > 0) failures.push(suite.name);
    const seconds = ((Date.now() - start) / 1000).toFixed(0);
    console.log(
      `${suite.name.padEnd(16)} ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped, ${seconds} s`,
    );
  }
  rmSync(scratch, { recursive: true, force: true });
  if (failures.length > 0) {
    console.log(`Failed: ${failures.join(', ')}. One again: node tools/test.mjs --only ${failures[0]}`);
  }
  console.log(`${total.passed} passed, ${total.failed} failed`);
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
}

try {
  process.exitCode = main();
} catch (error) {
  console.error(error.message);
  console.log('0 passed, 1 failed');
  process.exitCode = 1;
}
