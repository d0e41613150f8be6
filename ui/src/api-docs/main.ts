/** The API reference page, an entry of its own so that its size is paid only there. */
import 'rapidoc'
import '@fontsource-variable/inter/wght.css'
import '@fontsource-variable/jetbrains-mono/wght.css'
import './api-docs.css'

const dark = document.documentElement.dataset.theme === 'dark'
const reference = document.createElement('rapi-doc')
const attributes: Record<string, string> = {
  'spec-url': '/api/openapi.json',
  theme: dark ? 'dark' : 'light',
  'bg-color': dark ? '#121317' : '#fafafb',
  'text-color': dark ? '#e9eaee' : '#1c1e26',
  'nav-bg-color': dark ? '#16181d' : '#f4f4f6',
  'primary-color': dark ? '#8b8df0' : '#5b5bd6',
  'regular-font': "'Inter Variable', sans-serif",
  'mono-font': "'JetBrains Mono Variable', monospace",
  'load-fonts': 'false',
  'render-style': 'read',
  'show-header': 'false',
  'show-method-in-nav-bar': 'as-colored-block',
  'use-path-in-nav-bar': 'false',
  'allow-server-selection': 'false',
  'allow-authentication': 'true',
  'allow-spec-file-download': 'true',
  'schema-style': 'table',
}
for (const [name, value] of Object.entries(attributes)) reference.setAttribute(name, value)
document.getElementById('reference')?.replaceWith(reference)
