// `npm run bench`: sets the clone up, builds the measuring tools and runs packages/bench; see `npm run bench -- --help`.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root, run, setUp } from './setup.mjs';

try {
  setUp();
  const oneDnn = ['/usr/include/oneapi/dnnl/dnnl.hpp', '/usr/include/dnnl.hpp'].some(existsSync);
  const tools = join(root, 'out', 'tools');
  run('cmake', [
    '-S',
    join(root, 'cpp'),
    '-B',
    tools,
    '-DEMU_TOOLS=ON',
    `-DEMU_BENCH_ONEDNN=${oneDnn ? 'ON' : 'OFF'}`,
  ]);
  run('cmake', ['--build', tools, '-j', '2']);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
const main = join(root, 'packages', 'bench', 'dist', 'main.js');
process.exit(spawnSync(process.execPath, [main, ...process.argv.slice(2)], { stdio: 'inherit' }).status ?? 1);
