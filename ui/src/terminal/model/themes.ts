import type { ITheme } from '@xterm/xterm'

/** A named set of terminal colours. */
export interface TerminalTheme {
  id: string
  name: string
  dark: boolean
  colours: ITheme
}

const ANSI = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'] as const

/** Background, foreground, selection, then the eight colours and their bright forms. */
function theme(id: string, name: string, dark: boolean, palette: string): TerminalTheme {
  const [background = '', foreground = '', selection = '', ...rest] = palette.split(' ').map((hex) => `#${hex}`)
  const colours: Record<string, string> = {
    background,
    foreground,
    cursor: foreground,
    cursorAccent: background,
    selectionBackground: selection,
    scrollbarSliderBackground: `${foreground}26`,
    scrollbarSliderHoverBackground: `${foreground}47`,
    scrollbarSliderActiveBackground: `${foreground}66`,
  }
  ANSI.forEach((colour, index) => {
    colours[colour] = rest[index] ?? foreground
    colours[`bright${colour[0]?.toUpperCase()}${colour.slice(1)}`] = rest[index + 8] ?? foreground
  })
  return { id, name, dark, colours }
}

export const THEMES: readonly TerminalTheme[] = [
  theme('graphite', 'Graphite', true, '0e0f13 d9dce3 343a55 24262e f2777a 7fd19b e5c07b 7aa2f7 c099ff 6cc7d9 c5c8d1 5c6270 ff9a9d a1e5b8 f5d99a a3bffa d6bbff 93dde9 f4f5f8'),
  theme('paper', 'Paper', false, 'fdfdfc 262a33 cfd8f7 262a33 b3262e 1f7a3d 8a5a00 2753c9 7a3fb8 0b7285 6b7280 4b5563 d1363f 228544 9e6900 3b6af0 9455d4 117e92 9aa1ad'),
  theme('night', 'Night Harbour', true, '1a1b26 c0caf5 33467c 15161e f7768e 9ece6a e0af68 7aa2f7 bb9af7 7dcfff a9b1d6 565f89 ff899d b9f27c faba4a 8db0ff c7a9ff a4daff c0caf5'),
  theme('nord', 'Nord', true, '2e3440 d8dee9 4c566a 3b4252 bf616a a3be8c ebcb8b 81a1c1 b48ead 88c0d0 e5e9f0 6f7b91 d0737c b5d09e f2d7a0 93b3d3 c6a0bf 8fbcbb eceff4'),
  theme('gruvbox', 'Gruvbox', true, '282828 ebdbb2 504945 282828 fb4934 b8bb26 fabd2f 83a598 d3869b 8ec07c d5c4a1 928374 fb6a58 c6c93c fbcb53 97b8ac df9bad a4d092 fbf1c7'),
  theme('solarized-dark', 'Solarized Dark', true, '002b36 93a1a1 0d4654 073642 dc322f 859900 b58900 268bd2 d33682 2aa198 eee8d5 657b83 e8615c a2b500 d0a21b 4ba6e6 e05c9c 43bdb3 fdf6e3'),
  theme('solarized-light', 'Solarized Light', false, 'fdf6e3 586e75 e6dcc0 073642 dc322f 718200 946f00 1f76b3 c02f76 1f857d 839496 657b83 b32825 5c6a00 7a5c00 185e8f 9c2660 196b65 93a1a1'),
  theme('contrast', 'High Contrast', true, '000000 ffffff 4a4a9c 000000 ff6b6b 5cff8a ffe45c 7db3ff ff8cff 5cf2ff ffffff 9a9a9a ff9e9e 9dffba fff0a3 b0d1ff ffb8ff a6f8ff ffffff'),
]

export const DEFAULT_DARK = 'graphite'
export const DEFAULT_LIGHT = 'paper'

/** The chosen theme; `auto` follows the application's. */
export function themeOf(choice: string, appearance: 'light' | 'dark'): TerminalTheme {
  const id = choice === 'auto' ? (appearance === 'dark' ? DEFAULT_DARK : DEFAULT_LIGHT) : choice
  const found = THEMES.find((candidate) => candidate.id === id) ?? THEMES[0]
  if (!found) throw new Error('there is no terminal theme')
  return found
}
