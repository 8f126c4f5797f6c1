import { backendOf, type Device } from '../node-device.js';
import type { Recipe } from '../train/recipe/schema.js';
import { train } from '../train/trainer/index.js';
import { smallRecipe, smallTask, type SmallTaskOptions } from './small-training-task.js';

/** What the process of a test is told, as JSON, in its one argument. */
export interface TrainOrder {
  readonly folder: string;
  readonly device: Device;
  readonly recipe: Partial<Recipe>;
  readonly task: SmallTaskOptions;
}

/* A process that trains the small task, to be killed by tests; its events are lines of JSON on stdout. */
const order = JSON.parse(process.argv[2] ?? '') as TrainOrder;
const stop = new AbortController();
process.on('SIGINT', () => {
  stop.abort(new Error('stopped by SIGINT'));
});
try {
  await train({
    backend: backendOf(order.device),
    task: smallTask(order.task),
    recipe: smallRecipe(order.folder, order.recipe),
    threads: 1,
    signal: stop.signal,
    onEvent: (event) => {
      process.stdout.write(`${JSON.stringify(event.type === 'samples' ? { type: 'samples' } : event)}\n`);
    },
  });
} catch (error) {
  const { code, message } = error as { code?: string; message: string };
  process.stderr.write(`${code ?? 'ERROR'}: ${message}\n`);
  process.exitCode = 1;
}
