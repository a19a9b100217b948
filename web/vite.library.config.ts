import { defineConfig } from 'vite'

/** The client library by itself, for pages that are not ours: no bundler is needed to use it. */
export default defineConfig({
  // Worklets are found beside the library, wherever it was put.
  base: './',
  publicDir: 'library',
  build: {
    outDir: '../src/antiphon/web/client',
    emptyOutDir: true,
    target: 'es2022',
    lib: { entry: 'src/client/index.ts', formats: ['es'], fileName: () => 'antiphon.js' },
  },
  worker: { format: 'es', rolldownOptions: { output: { entryFileNames: '[name].js' } } },
})
