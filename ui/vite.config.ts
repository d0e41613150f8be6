import { fileURLToPath } from 'node:url'
import tailwindcss from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vitest/config'

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/**
 * Sonner adds its style sheet as an inline `<style>` when it is imported, which
 * a policy of `style-src 'self'` refuses. The same sheet is imported as a file
 * (see src/styles/index.css), so the call is taken out.
 */
function sonnerWithoutInlineStyles(): Plugin {
  return {
    name: 'sonner-without-inline-styles',
    enforce: 'pre',
    transform(code, id) {
      if (!/node_modules\/sonner\/dist\/index\.m?js/.test(id)) return null
      const call = /^__insertCSS\(".*"\);?$/m
      if (!call.test(code)) this.error('sonner changed how it inserts its styles; adapt this plugin')
      return { code: code.replace(call, ''), map: null }
    },
  }
}

const hub = process.env.OPENPAM_HUB ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [react(), tailwindcss(), sonnerWithoutInlineStyles()],
  resolve: {
    alias: {
      '@': source('./src'),
      // Same reason as above: the scroll lock of dialogs uses a constructed sheet.
      'react-style-singleton': source('./src/lib/style-singleton.ts'),
    },
  },
  // The pre-bundler would bypass the plugin above while developing.
  optimizeDeps: { exclude: ['sonner'] },
  build: {
    target: 'es2023',
    // A data: URL for a font or an image would need a wider content policy.
    assetsInlineLimit: 0,
    // The largest is the router with its words, which the first load needs; loading.spec.ts holds the whole of it.
    chunkSizeWarningLimit: 900,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: { index: source('./index.html'), 'api-docs': source('./api-docs.html') },
      // One by one, the icons of the first page cost more in headers than all of them do in one file.
      output: { codeSplitting: { groups: [{ name: 'icons', test: /node_modules[\\/]lucide-react/ }] } },
    },
  },
  server: {
    host: '127.0.0.1',
    port: 5173,
    proxy: {
      '/api': { target: hub, ws: true },
      '/healthz': hub,
      '/readyz': hub,
    },
  },
  test: {
    environment: 'happy-dom',
    include: ['src/**/*.test.{ts,tsx}'],
  },
})
