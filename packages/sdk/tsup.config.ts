import { defineConfig } from 'tsup';

export default defineConfig({
  // One entry per subpath export; shared code is split into chunks, so that classes exist once.
  entry: [
    'src/node.ts',
    'src/browser.ts',
    ...['weights', 'tokenizer', 'image', 'video', 'diffusion', 'models', 'generate', 'initialize', 'train'].map(
      (part) => `src/${part}/index.ts`,
    ),
  ],
  format: ['esm'],
  target: 'node20',
  dts: true,
  sourcemap: true,
  clean: true,
});
