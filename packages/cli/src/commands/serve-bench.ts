import { Emu, EmuError } from '@emu/sdk';
import { InvalidArgumentError, type Command } from 'commander';

import { commaList, commandContext, number, withCommonFlags, type CommandContext } from '../context.js';
import { environmentValue } from '../environment.js';
import { EngineTarget } from '../load/engine-target.js';
import { runPictureLoad, type PictureFigures, type PictureTarget } from '../load/picture-load.js';
import { ServerProcess } from '../load/server-process.js';
import { ServerTarget } from '../load/server-target.js';
import { runTextLoad, type TextFigures, type TextTarget } from '../load/text-load.js';
import type { Terminal } from '../terminal.js';
import { withModel, withModelFlags, type ModelFlags } from './model-flags.js';

/** Flags of `emu bench serve`. */
interface ServeBenchFlags extends ModelFlags {
  readonly server?: string;
  readonly streams: readonly number[];
  readonly rate?: number;
  readonly tokens: number;
  readonly seconds: number;
  readonly steps: number;
}

/** One line of the result; the names are those of the JSON. */
interface LevelFigures {
  readonly streams: number;
  readonly tokens_per_second: number;
  readonly engine_tokens_per_second: number | null;
  readonly ttft_ms_p50: number | null;
  readonly ttft_ms_p99: number | null;
  readonly itl_ms_p50: number | null;
  readonly itl_ms_p99: number | null;
  readonly images_per_minute: number | null;
  readonly errors: number;
}

const help = `
Without --rate every stream asks again as soon as it has its answer, which finds the most that the server can do.
With it the loop is open: requests come at that rate, in a Poisson process, however slow the server is, at most
--streams of them run at a time, and the time to the first token counts from when a request was due.

Engine and server are warmed up first, for three times as long as a level takes: a server that runs for days is asked
what it does then, not in its first seconds. Texts are asked for over HTTP/2 without a client library, which would take
more of the cores than the server adds to its engine; pictures through Emu.connect.

With --model alone the server is started for the measurement; with --server alone the engine is not measured.

Examples:
  emu bench serve --model models/emu --json
  emu bench serve --server grpc://localhost:50051 --streams 8,32 --rate 20 --seconds 60`;

export function addServeBench(bench: Command, terminal: Terminal): void {
  withModelFlags(withCommonFlags(bench.command('serve')))
    .option('--server <address>', 'server to load, grpc://HOST:PORT; its key is EMU_API_KEY')
    .option('--streams <list>', 'numbers of concurrent streams', streamList, [1, 8, 32, 128])
    .option('--rate <number>', 'requests per second that come, whatever the server does', number)
    .option('--tokens <number>', 'tokens of an answer, on average', number, 128)
    .option('--seconds <number>', 'how long each level is measured', number, 10)
    .option('--steps <number>', 'denoising steps of a picture; 0: no pictures', number, 10)
    .description('load a server and tell throughput and latencies, beside those of the engine without it')
    .addHelpText('after', help)
    .action((flags: ServeBenchFlags) => measure(terminal, flags));
}

async function measure(terminal: Terminal, flags: ServeBenchFlags): Promise<void> {
  const context = commandContext(terminal, flags);
  checkRange('--tokens', flags.tokens, 2, 4096, true);
  checkRange('--seconds', flags.seconds, 0.1, 86_400);
  checkRange('--steps', flags.steps, 0, 1000, true);
  if (flags.rate !== undefined) checkRange('--rate', flags.rate, 0.001, 1_000_000);
  const model = flags.model ?? environmentValue(terminal, 'EMU_MODEL');
  const engine = new Map<number, number>();
  if (model !== undefined || flags.server === undefined) {
    await withModel(context, flags, async (emu) => {
      context.note('engine, warming up');
      const target = new EngineTarget(emu);
      await warmUp(target, terminal, flags);
      for (const streams of flags.streams) {
        context.note(`engine, ${streams} streams`);
        const { tokensPerSecond } = await runTextLoad(target, textLoad(terminal, flags, streams));
        engine.set(streams, tokensPerSecond);
      }
    });
  }
  await withServer(terminal, flags, model, async (address) => {
    const emu = await Emu.connect(address, { signal: terminal.signal });
    const texts = new ServerTarget(address, environmentValue(terminal, 'EMU_API_KEY'));
    try {
      context.note(`${address}, warming up`);
      await warmUp(texts, terminal, flags);
      if (!context.json) context.result({}, tableHead);
      for (const streams of flags.streams) {
        context.note(`${address}, ${streams} streams`);
        const pictures = emu.model.imageOutput ? emu : undefined;
        const figures = await level(context, texts, pictures, flags, streams);
        tell(context, { ...figures, engine_tokens_per_second: rounded(engine.get(streams)) });
      }
    } finally {
      texts.close();
      await emu.dispose();
    }
  });
}

/** A server that flags name, or one of our own. */
async function withServer(
  terminal: Terminal,
  flags: ServeBenchFlags,
  model: string | undefined,
  work: (address: string) => Promise<void>,
): Promise<void> {
  if (flags.server !== undefined) return work(flags.server);
  const { device, dtype, threads, variant } = flags;
  const given = Object.entries({ model, device, dtype, threads, variant });
  const args = given.flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, String(value)]));
  const command = [process.execPath, process.argv[1] ?? 'emu'];
  const server = await ServerProcess.start(command, args, terminal.signal);
  try {
    await work(`grpc://${server.address}`);
  } finally {
    await server.stop();
  }
}

async function level(
  { terminal }: CommandContext,
  texts: TextTarget,
  pictures: PictureTarget | undefined,
  flags: ServeBenchFlags,
  streams: number,
): Promise<LevelFigures> {
  const text = await runTextLoad(texts, textLoad(terminal, flags, streams));
  const { steps, seconds } = flags;
  const drawn =
    pictures !== undefined && steps > 0
      ? await runPictureLoad(pictures, { streams, steps, seconds, signal: terminal.signal })
      : undefined;
  return figuresOf(streams, text, drawn);
}

function figuresOf(streams: number, text: TextFigures, pictures: PictureFigures | undefined): LevelFigures {
  const { firstToken, interToken } = text;
  return {
    streams,
    tokens_per_second: rounded(text.tokensPerSecond) ?? 0,
    engine_tokens_per_second: null,
    ttft_ms_p50: firstToken.percentile(50),
    ttft_ms_p99: firstToken.percentile(99),
    itl_ms_p50: interToken.percentile(50),
    itl_ms_p99: interToken.percentile(99),
    images_per_minute: rounded(pictures?.picturesPerMinute),
    errors: text.errors + (pictures?.errors ?? 0),
  };
}

function textLoad(
  { signal }: Terminal,
  { rate, tokens, seconds }: ServeBenchFlags,
  streams: number,
): Parameters<typeof runTextLoad>[1] {
  return { streams, rate, tokens, seconds, warmUpSeconds: seconds / 4, signal };
}

/**
 * As much load as will be measured, for three times as long as a level takes: the first run of each kind compiles its
 * programs, and Node compiles what it runs often, for half a minute and on the cores that the kernels need.
 */
async function warmUp(target: TextTarget, terminal: Terminal, flags: ServeBenchFlags): Promise<void> {
  const load = textLoad(terminal, flags, Math.max(...flags.streams));
  await runTextLoad(target, { ...load, warmUpSeconds: 0, seconds: 3 * flags.seconds });
}

const columns = [
  ['streams', 'streams'],
  ['tokens_per_second', 'tokens/s'],
  ['engine_tokens_per_second', 'engine'],
  ['ttft_ms_p50', 'first p50 ms'],
  ['ttft_ms_p99', 'first p99 ms'],
  ['itl_ms_p50', 'next p50 ms'],
  ['itl_ms_p99', 'next p99 ms'],
  ['images_per_minute', 'pictures/min'],
  ['errors', 'errors'],
] as const satisfies readonly (readonly [keyof LevelFigures, string])[];

const tableHead = columns.map(([, title]) => title.padStart(12)).join(' ');

function tell(context: CommandContext, figures: LevelFigures): void {
  const cells = columns.map(([key]) => {
    const value = figures[key];
    return (value === null ? '-' : String(Number(value.toFixed(1)))).padStart(12);
  });
  context.result(figures, cells.join(' '));
}

function rounded(value: number | undefined): number | null {
  return value === undefined ? null : Math.round(value * 100) / 100;
}

/** A parser of `1,8,32`. */
function streamList(value: string): readonly number[] {
  const list = commaList(value).map(Number);
  if (list.length > 0 && list.every((each) => Number.isInteger(each) && each >= 1 && each <= 4096))
    return list;
  throw new InvalidArgumentError('It must be whole numbers in 1..4096 with commas between them.');
}

function checkRange(flag: string, value: number, least: number, most: number, whole = false): void {
  if (value >= least && value <= most && (!whole || Number.isInteger(value))) return;
  const kind = whole ? 'a whole number' : 'a number';
  throw new EmuError(
    'INVALID_OPTION',
    `[bench serve] ${flag} must be ${kind} in ${least}..${most}, got ${value}`,
    { details: { flag, value } },
  );
}
