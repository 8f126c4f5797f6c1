import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Tests run on the sources of every package, so they never see a stale build.
  ssr: { resolve: { conditions: ['emu-source', 'node', 'import', 'default'] } },
  resolve: { conditions: ['emu-source', 'node', 'import', 'default'] },
  test: { include: ['src/**/*.test.ts'], testTimeout: 60_000, passWithNoTests: true },
});
