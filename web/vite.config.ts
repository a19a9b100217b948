import { defineConfig } from 'vite'

export default defineConfig({
  build: {
    outDir: '../src/antiphon/web',
    emptyOutDir: true,
    target: 'es2022',
    // The page's rules of security allow scripts from files only, and worklets have to be files of their own.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  worker: { format: 'es' },
  // `npm run dev` shows the page with the server that `antiphon serve` runs beside it.
  server: {
    proxy: {
      '/v1': { target: 'http://127.0.0.1:8765', ws: true },
      '/ready': 'http://127.0.0.1:8765',
      '/health': 'http://127.0.0.1:8765',
    },
  },
})
