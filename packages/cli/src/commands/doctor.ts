import { spawnSync } from 'node:child_process';
import { freemem, totalmem } from 'node:os';

import { addonCandidates, CpuBackend } from '@emu/native';
import { EmuError } from '@emu/sdk';
import { openModelFolder } from '@emu/sdk/weights';
import type { Command } from 'commander';

import { commandContext, withCommonFlags, type CommonFlags } from '../context.js';
import { environmentValue } from '../environment.js';
import { endWith } from '../exit-status.js';
import { bytesText } from '../progress.js';
import type { Terminal } from '../terminal.js';

/** One line of the examination. */
interface Finding {
  readonly check: string;
  readonly verdict: 'ok' | 'warning' | 'failure';
  readonly reason: string;
  /** What to do; empty when all is well. */
  readonly fix: string;
}

const machineExit = 4;
const badModelExit = 3;

export function addDoctor(program: Command, terminal: Terminal): void {
  withCommonFlags(program.command('doctor'))
    .description('check that this machine can run Emu: runtime, binary, CPU, memory, ffmpeg, model files')
    .option('--model <dir>', 'also check this model folder (default: EMU_MODEL)')
    .addHelpText('after', '\nExample:\n  emu doctor --model models/emu-demo --json')
    .action(async (flags: CommonFlags & { model?: string }, command: Command) => {
      const { result } = commandContext(terminal, flags);
      const findings = [runtime(), binary(), memory(), gpu(), ffmpeg()];
      const model = flags.model ?? environmentValue(terminal, 'EMU_MODEL');
      if (model !== undefined) findings.push(await modelFolder(model));
      for (const finding of findings) {
        const fix = finding.fix === '' ? '' : `  -> ${finding.fix}`;
        result(finding, `${finding.verdict.padEnd(8)} ${finding.check.padEnd(8)} ${finding.reason}${fix}`);
      }
      const failed = findings.filter(({ verdict }) => verdict === 'failure');
      if (failed.length === 0) return;
      endWith(command, failed.every(({ check }) => check === 'model') ? badModelExit : machineExit);
    });
}

function runtime(): Finding {
  const { node } = process.versions;
  const [major = 0, minor = 0] = node.split('.').map(Number);
  const enough = major > 20 || (major === 20 && minor >= 19);
  const reason = `Node ${node} on ${process.platform}-${process.arch}`;
  return enough
    ? { check: 'runtime', verdict: 'ok', reason, fix: '' }
    : { check: 'runtime', verdict: 'failure', reason, fix: 'Install Node 20.19 or newer.' };
}

function binary(): Finding {
  try {
    const { instructionSet, available, threads, ops } = new CpuBackend().describe();
    const reason = `${instructionSet} (has ${available.join(', ')}), ${threads} threads, ${ops.length} ops`;
    return { check: 'binary', verdict: 'ok', reason, fix: '' };
  } catch (error) {
    const { message, hint } = EmuError.from(error);
    const reason = `${message} (looked for ${addonCandidates().join(', ')})`;
    return { check: 'binary', verdict: 'failure', reason, fix: hint ?? '' };
  }
}

function memory(): Finding {
  const [free, total] = [freemem(), totalmem()];
  const reason = `${bytesText(free)} free of ${bytesText(total)}`;
  return free > 1e9
    ? { check: 'memory', verdict: 'ok', reason, fix: '' }
    : {
        check: 'memory',
        verdict: 'warning',
        reason,
        fix: 'Close other programs before you load a large model.',
      };
}

function gpu(): Finding {
  const reason = 'this version computes on the CPU; a CUDA backend is not part of it';
  return { check: 'gpu', verdict: 'ok', reason, fix: '' };
}

function ffmpeg(): Finding {
  const run = spawnSync('ffmpeg', ['-version'], { encoding: 'utf8' });
  const line = run.status === 0 ? run.stdout.split('\n')[0] : undefined;
  return line === undefined
    ? {
        check: 'ffmpeg',
        verdict: 'warning',
        reason: 'not on the PATH',
        fix: 'Install ffmpeg to read videos.',
      }
    : { check: 'ffmpeg', verdict: 'ok', reason: line, fix: '' };
}

async function modelFolder(path: string): Promise<Finding> {
  try {
    const { layout, visualDecoder } = await openModelFolder(path);
    const reason = `${path}: ${layout} layout, ${visualDecoder ? 'with' : 'without'} a visual decoder`;
    return { check: 'model', verdict: 'ok', reason, fix: '' };
  } catch (error) {
    const { message, hint } = EmuError.from(error);
    return { check: 'model', verdict: 'failure', reason: message, fix: hint ?? '' };
  }
}
