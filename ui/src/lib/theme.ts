import { useSyncExternalStore } from 'react'

/** What the person chose; `system` follows the operating system. */
export type ThemeChoice = 'system' | 'light' | 'dark'

const KEY = 'openpam.theme'
const listeners = new Set<() => void>()
const system = matchMedia('(prefers-color-scheme: dark)')
// Read once, then only told: a browser that was asked in between does not announce the change any more.
let systemIsDark = system.matches

function read(): ThemeChoice {
  try {
    const value = localStorage.getItem(KEY)
    return value === 'light' || value === 'dark' ? value : 'system'
  } catch {
    return 'system'
  }
}

let choice = read()

function resolve(): 'light' | 'dark' {
  if (choice === 'system') return systemIsDark ? 'dark' : 'light'
  return choice
}

function apply() {
  document.documentElement.dataset.theme = resolve()
  for (const listener of listeners) listener()
}
system.addEventListener('change', ({ matches }) => {
  systemIsDark = matches
  apply()
})

/** Chooses a theme for this browser, at once and for the next visit. */
export function setTheme(next: ThemeChoice) {
  choice = next
  try {
    if (next === 'system') localStorage.removeItem(KEY)
    else localStorage.setItem(KEY, next)
  } catch {
    // Storage is switched off: the choice holds until the page is left.
  }
  apply()
}

function subscribe(listener: () => void) {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** The choice and what it comes to. */
export function useTheme() {
  const current = useSyncExternalStore(subscribe, () => `${choice}:${resolve()}`)
  const [chosen, resolved] = current.split(':') as [ThemeChoice, 'light' | 'dark']
  return { choice: chosen, resolved }
}
