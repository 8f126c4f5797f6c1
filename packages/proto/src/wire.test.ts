import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ScalarType } from '@bufbuild/protobuf';
import { afterAll, describe, expect, it } from 'vitest';

import { emuServices, wireFiles } from './index.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const protoFolder = join(root, 'proto');
const scratch = mkdtempSync(join(tmpdir(), 'emu-proto-'));
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

/** The plugin is found beside buf. */
const buf = join(dirname(createRequire(import.meta.url).resolve('@bufbuild/buf/package.json')), 'bin', 'buf');
const path = [join(root, 'node_modules', '.bin'), process.env['PATH']].join(delimiter);

function runBuf(...args: readonly string[]): { readonly status: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [buf, ...args], {
    cwd: protoFolder,
    encoding: 'utf8',
    env: { ...process.env, PATH: path },
  });
  return { status, output: stdout + stderr };
}

function filesOf(folder: string): ReadonlyMap<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  return new Map(names.sort().map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

describe('proto', () => {
  it('passes the linter, comments on everything included', () => {
    expect(runBuf('lint')).toEqual({ status: 0, output: '' });
  });

  it('is formatted', () => {
    expect(runBuf('format', '-d', '--exit-code')).toEqual({ status: 0, output: '' });
  });

  it('gives the TypeScript that is committed', () => {
    const template = readFileSync(join(protoFolder, 'buf.gen.yaml'), 'utf8');
    const elsewhere = join(scratch, 'buf.gen.yaml');
    writeFileSync(
      elsewhere,
      template.replace('../packages/proto/src/generated', scratch).replace('clean: true\n', ''),
    );
    expect(runBuf('generate', '--template', elsewhere)).toEqual({ status: 0, output: '' });
    expect(filesOf(scratch)).toEqual(filesOf(fileURLToPath(new URL('generated', import.meta.url))));
  });

  it('breaks nothing that the last commit on main promised', (context) => {
    const base = mainBefore();
    if (base === undefined) {
      console.warn(
        'proto: no earlier commit on main has proto/ (or there is no git): nothing to compare with',
      );
      context.skip();
      return;
    }
    const against = `${join(root, '.git')}#format=git,ref=${base},subdir=proto`;
    expect(runBuf('breaking', '--against', against)).toEqual({ status: 0, output: '' });
  });

  it('would be told apart from one that breaks a promise', () => {
    const changed = join(scratch, 'changed');
    cpSync(protoFolder, changed, { recursive: true });
    const file = join(changed, 'emu/v1/generation_service.proto');
    const before = readFileSync(file, 'utf8');
    const after = before.replace('uint64 after_sequence = 2;', 'string after_sequence = 2;');
    expect(after).not.toBe(before);
    writeFileSync(file, after);
    const { status, output } = runBuf('breaking', changed, '--against', protoFolder);
    expect(status).not.toBe(0);
    expect(output).toContain('after_sequence');
  });

  it('carries many floats as bytes only', () => {
    const floats: readonly ScalarType[] = [ScalarType.FLOAT, ScalarType.DOUBLE];
    const found = wireFiles()
      .filter(({ name }) => name.startsWith('emu/'))
      .flatMap(({ messages }) => messages)
      .flatMap(({ fields }) => fields)
      .filter(
        (field) => field.fieldKind === 'list' && field.listKind === 'scalar' && floats.includes(field.scalar),
      );
    expect(found.map((field) => field.toString())).toEqual([]);
  });
});

describe('wireFiles', () => {
  it('names every file after those that it imports', () => {
    const names = wireFiles().map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const file of wireFiles()) {
      for (const dependency of file.dependencies) {
        expect(names.indexOf(dependency.name)).toBeLessThan(names.indexOf(file.name));
      }
    }
    expect(names).toContain('grpc/health/v1/health');
  });

  it('holds the five services', () => {
    expect(emuServices.map(({ typeName }) => typeName)).toEqual([
      'emu.v1.GenerationService',
      'emu.v1.EmbeddingService',
      'emu.v1.ModelService',
      'emu.v1.MediaService',
      'emu.v1.TrainingService',
    ]);
  });
});

/**
 * The last commit on main that has another proto/ than there is here; undefined when there is none. One with the same
 * would be compared with itself: on main that would be every commit.
 */
function mainBefore(): string | undefined {
  const git = (...args: readonly string[]): string =>
    execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  for (const ref of ['origin/main', 'main']) {
    try {
      const commits = git('log', '--first-parent', '--format=%H', ref, '--', 'proto').trim().split('\n');
      return commits.find((commit) => differs(git, commit));
    } catch {
      continue;
    }
  }
  return undefined;
}

function differs(git: (...args: readonly string[]) => string, commit: string): boolean {
  git('cat-file', '-e', `${commit}:proto/buf.yaml`);
  return git('diff', '--name-only', commit, '--', 'proto').trim() !== '';
}
