// Lays the loss curve of our trainer beside that of the same model in plain PyTorch, on the same first weights and the
// same batches, and writes both to testdata/training/curve.json:
//   node tools/training-curve.mjs [--steps 200] [--recipe testdata/training/curve.yaml] [--to testdata/training/curve.json]
// The packages must be built; PyTorch comes from the python that EMU_PYTHON names (default python3). Batches and weights
// are left in out/training-curve. Ends with 1 if a loss term of a step is more than 1 % off; how far the gradient norm is
// off is told beside them.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { backendOf } from '@emu/sdk';
import { readRecipe, train, trainingStages } from '@emu/sdk/train';
import { writeSafetensors } from '@emu/sdk/weights';
import { root, run } from './setup.mjs';

const tolerance = 0.01;
const terms = ['loss.text', 'loss.visual', 'grad_norm'];

const { values: options } = parseArgs({
  options: {
    steps: { type: 'string', default: '200' },
    recipe: { type: 'string', default: join(root, 'testdata', 'training', 'curve.yaml') },
    to: { type: 'string', default: join(root, 'testdata', 'training', 'curve.json') },
  },
});
const steps = Number(options.steps);
const folder = join(root, 'out', 'training-curve');

/** The task with every batch that the trainer takes written down. */
function recorded(task, batches) {
  return {
    ...task,
    batches(from) {
      const stream = task.batches(from);
      return {
        async next() {
          const batch = await stream.next();
          if (batch !== undefined && batches.length < steps) batches.push(batch);
          return batch;
        },
        position: () => stream.position(),
        close: () => stream.close(),
      };
    },
  };
}

/** Our own curve: the trainer as `emu train` runs it, stopped after `steps`. */
async function ourCurve(task, recipe) {
  const curve = Object.fromEntries(terms.map((name) => [name, []]));
  const stop = new AbortController();
  const onEvent = (event) => {
    if (event.type !== 'step') return;
    const values = { ...event.terms, grad_norm: event.gradientNorm };
    for (const name of terms) curve[name].push(values[name]);
    if (event.step === steps) stop.abort();
    if (event.step % 20 === 0) console.error(`Emu ${event.step}: ${JSON.stringify(values)}`);
  };
  try {
    await train({ backend: backendOf('cpu'), task, recipe, signal: stop.signal, onEvent });
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  }
  return curve;
}

async function writeInitial(task) {
  const tensors = [];
  for (const { name, shape } of task.parameters) {
    const source = await task.initial(name);
    if (source.kind !== 'data')
      throw new Error(`${name} is not drawn from the seed: give the recipe a \`model\``);
    tensors.push({ name, shape, dtype: 'f32', data: source.data });
  }
  await writeSafetensors(join(folder, 'initial.safetensors'), tensors);
}

async function writeBatches(task, batches) {
  const tensors = batches.flatMap(({ program: key, inputs }, step) => {
    const program = task.program(key);
    return program.inputs.map(({ name, value }) => ({
      ...program.values[value],
      name: `${step}/${name}`,
      data: inputs[name],
    }));
  });
  await writeSafetensors(join(folder, 'batches.safetensors'), tensors);
}

/** The largest relative difference of a term, and where it is. */
function furthest(ours, theirs) {
  const differences = ours.map((value, step) => Math.abs(value / theirs[step] - 1));
  const difference = Math.max(...differences);
  return { difference, step: differences.indexOf(difference) + 1 };
}

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
const read = await readRecipe(options.recipe, [], trainingStages);
const recipe = { ...read.recipe, output_dir: join(folder, 'run') };
const task = await read.stage.createTask(recipe, { recipeFolder: read.folder, planOnly: false });
const batches = [];
const ours = await ourCurve(recorded(task, batches), recipe);
const sizes = JSON.parse(readFileSync(join(read.folder, recipe.model), 'utf8'));
writeFileSync(join(folder, 'settings.json'), JSON.stringify({ steps, sizes, recipe }));
await writeInitial(task);
await writeBatches(task, batches);
await task.close?.();
run(process.env.EMU_PYTHON ?? 'python3', [join(root, 'tools', 'goldens', 'training_curve.py'), folder]);

const { version, ...torch } = JSON.parse(readFileSync(join(folder, 'torch.json'), 'utf8'));
let isNear = true;
for (const name of terms) {
  const { difference, step } = furthest(ours[name], torch[name]);
  if (name.startsWith('loss')) isNear &&= difference <= tolerance;
  console.log(`${name}: at most ${(100 * difference).toFixed(4)} % apart, in step ${step} of ${steps}`);
}
const rounded = (curve) =>
  Object.fromEntries(terms.map((name) => [name, curve[name].map((value) => Number(value.toPrecision(7)))]));
// Sums of token ids tell a test whether it sees the same batches.
const idSums = batches.map(({ inputs }) => inputs.ids.reduce((sum, id) => sum + id, 0));
const lines = Object.entries({ pytorch_version: version, id_sums: idSums }).map(
  ([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`,
);
for (const [key, curve] of [
  ['pytorch', rounded(torch)],
  ['emu', rounded(ours)],
]) {
  const rows = Object.entries(curve).map(
    ([name, values]) => `    ${JSON.stringify(name)}: ${JSON.stringify(values)}`,
  );
  lines.push(`  ${JSON.stringify(key)}: {\n${rows.join(',\n')}\n  }`);
}
writeFileSync(options.to, `{\n${lines.join(',\n')}\n}\n`);
process.exit(isNear ? 0 : 1);
