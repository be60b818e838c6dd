// How the screens are built and tested: one page, hashed files, nothing inlined.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  plugins: [svelte()],
  // Under vitest too the browser build of Svelte is wanted, not the one for servers.
  resolve: process.env.VITEST ? { conditions: ['browser'] } : {},
  worker: { format: 'es' },
  build: {
    target: 'es2022',
    // The content policy allows fonts and scripts from the server only, so no `data:` URLs.
    assetsInlineLimit: 0,
    // MapLibre is one large file by nature; it is loaded on demand.
    chunkSizeWarningLimit: 1_500,
  },
  server: {
    proxy: { '/api': { target: 'http://127.0.0.1:8080', ws: true } },
  },
  test: {
    environment: 'happy-dom',
    include: ['src/**/*.test.ts'],
    // For a busy machine: no test measures time.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
