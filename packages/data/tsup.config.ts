import { defineConfig } from 'tsup';

export default defineConfig({
  // The worker is a file of its own: threads load it by its path.
  entry: { index: 'src/index.ts', 'drawn-worker': 'src/stream/drawn-worker.ts' },
  format: ['esm'],
  target: 'node20',
  dts: true,
  sourcemap: true,
  clean: true,
});
