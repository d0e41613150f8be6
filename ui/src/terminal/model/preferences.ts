import { THEMES } from './themes'

/** What a person chose for terminals; kept by the hub under the preference `terminal`. */
export interface TerminalPreferences {
  /** A theme's id, or `auto` for one that follows the application. */
  theme: string
  font: FontChoice
  fontSize: number
  lineHeight: number
  cursorBlink: boolean
  copyOnSelect: boolean
  confirmPaste: boolean
  /** Whether a program on the target may put text on the clipboard (OSC 52). */
  clipboardWrite: boolean
  screenReader: boolean
  scrollback: number
}

export const FONTS = {
  jetbrains: { name: 'JetBrains Mono', family: '"JetBrains Mono Variable", ui-monospace, monospace' },
  system: { name: 'System', family: 'ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace' },
  courier: { name: 'Courier', family: '"Courier New", "Liberation Mono", monospace' },
} as const
export type FontChoice = keyof typeof FONTS

export const SMALLEST_FONT = 8
export const LARGEST_FONT = 32

export const DEFAULT_PREFERENCES: TerminalPreferences = {
  theme: 'auto',
  font: 'jetbrains',
  fontSize: 14,
  lineHeight: 1.2,
  cursorBlink: true,
  copyOnSelect: false,
  confirmPaste: true,
  clipboardWrite: false,
  screenReader: false,
  scrollback: 10_000,
}

const within = (value: unknown, low: number, high: number, otherwise: number) =>
  typeof value === 'number' && value >= low && value <= high ? value : otherwise
const flag = (value: unknown, otherwise: boolean) => (typeof value === 'boolean' ? value : otherwise)

/** Reads stored preferences; what does not fit falls back to the default. */
export function readPreferences(value: unknown): TerminalPreferences {
  const stored = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>
  const standard = DEFAULT_PREFERENCES
  const theme = THEMES.find((candidate) => candidate.id === stored.theme)?.id ?? standard.theme
  const font = stored.font
  return {
    theme,
    font: typeof font === 'string' && Object.hasOwn(FONTS, font) ? (font as FontChoice) : standard.font,
    fontSize: Math.round(within(stored.fontSize, SMALLEST_FONT, LARGEST_FONT, standard.fontSize)),
    lineHeight: within(stored.lineHeight, 1, 2, standard.lineHeight),
    cursorBlink: flag(stored.cursorBlink, standard.cursorBlink),
    copyOnSelect: flag(stored.copyOnSelect, standard.copyOnSelect),
    confirmPaste: flag(stored.confirmPaste, standard.confirmPaste),
    clipboardWrite: flag(stored.clipboardWrite, standard.clipboardWrite),
    screenReader: flag(stored.screenReader, standard.screenReader),
    scrollback: Math.round(within(stored.scrollback, 0, 100_000, standard.scrollback)),
  }
}
