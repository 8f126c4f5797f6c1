// `npm run demo`: sets the clone up, makes a small model once, and runs examples/tour.mjs on a photograph.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { demoModel, makeDemoModel } from './demo-model.mjs';
import { root, setUp } from './setup.mjs';

try {
  setUp();
  console.log(`Making a small model in ${demoModel} (kept for the next time) ...`);
  await makeDemoModel();
} catch (error) {
  console.error(error.message);
  if (error.hint) console.error(error.hint);
  process.exit(1);
}
const photograph = join(root, 'testdata', 'pictures', 'chelsea.png');
const args = [join(root, 'examples', 'tour.mjs'), demoModel, photograph, join(root, 'out', 'demo')];
process.exit(spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status ?? 1);
