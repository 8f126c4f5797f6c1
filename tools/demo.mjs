// `npm run demo`: sets the clone up and shows what the model does: the trained one that ships, or, where it is missing,
// a small untrained one, made once, with a photograph.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { demoModel, makeDemoModel } from './demo-model.mjs';
import { root, setUp } from './setup.mjs';

const trained = join(root, 'models', 'emu-tiny');
const folder = join(root, 'out', 'demo');

/** The example to run and its arguments. */
async function chosenExample() {
  if (existsSync(join(trained, 'config.json')))
    return [join(root, 'examples', 'drawn-world.mjs'), trained, folder];
  console.log(`Making a small model in ${demoModel} (kept for the next time) ...`);
  await makeDemoModel();
  const photograph = join(root, 'testdata', 'pictures', 'chelsea.png');
  return [join(root, 'examples', 'tour.mjs'), demoModel, photograph, folder];
}

try {
  setUp();
  const args = await chosenExample();
  process.exitCode = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status ?? 1;
} catch (error) {
  console.error(error.message);
  if (error.hint) console.error(error.hint);
  process.exitCode = 1;
}
