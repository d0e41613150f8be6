import { describe, expect, test } from 'vitest'
import { commandOf, type KeyPress } from './keymap'
import { addTab, EMPTY_LAYOUT, splitPane } from './layout'
import { BIG_PASTE_BYTES, reviewPaste } from './paste'
import { DEFAULT_PREFERENCES, readPreferences } from './preferences'
import { parseWorkspace } from './storage'
import { DEFAULT_LIGHT, THEMES, themeOf } from './themes'
import { inWords } from './words'

const press = (keys: string, key = ''): KeyPress => {
  const parts = keys.split('+')
  return {
    ctrlKey: parts.includes('Ctrl'),
    shiftKey: parts.includes('Shift'),
    altKey: parts.includes('Alt'),
    metaKey: parts.includes('Meta'),
    code: parts.at(-1) ?? '',
    key,
  }
}

describe('keys', () => {
  test.each(['Ctrl+KeyK', 'Ctrl+KeyC', 'Ctrl+KeyD', 'Ctrl+KeyW', 'Alt+KeyF', 'Alt+ArrowLeft', 'Shift+KeyK', 'Enter', 'Ctrl+Alt+Shift+KeyK'])(
    '%s is the shell’s',
    (keys) => expect(commandOf(press(keys))).toBeNull(),
  )

  test('the workspace has its own', () => {
    expect(commandOf(press('Ctrl+Shift+KeyK'))).toEqual({ do: 'palette' })
    expect(commandOf(press('Ctrl+Shift+KeyE'))).toEqual({ do: 'split-row' })
    expect(commandOf(press('Ctrl+Shift+Digit3'))).toEqual({ do: 'go-to-tab', index: 2 })
    expect(commandOf(press('Alt+Shift+ArrowUp'))).toEqual({ do: 'focus', side: 'up' })
    expect(commandOf(press('Ctrl+Minus', '-'))).toEqual({ do: 'smaller' })
    expect(commandOf(press('Ctrl+Shift+Equal', '+'))).toEqual({ do: 'larger' })
  })
})

describe('a paste', () => {
  test('of one line goes through, of several asks', () => {
    expect(reviewPaste('ls -la', true)).toMatchObject({ lines: 1, needsConfirmation: false })
    expect(reviewPaste('ls\n', true)).toMatchObject({ lines: 1, needsConfirmation: true })
    expect(reviewPaste('a\r\nb', true)).toMatchObject({ lines: 2, needsConfirmation: true })
    expect(reviewPaste('a\nb', false).needsConfirmation).toBe(false)
  })

  test('that is big or hides control characters asks whatever is set', () => {
    expect(reviewPaste('x'.repeat(BIG_PASTE_BYTES), false).needsConfirmation).toBe(true)
    const hidden = reviewPaste('ls\u001b[201~rm -rf /\u0003', false)
    expect(hidden).toMatchObject({ text: 'ls[201~rm -rf /', removed: 2, needsConfirmation: true })
  })

  test('keeps tabs, line ends and every letter, and is measured in bytes', () => {
    const text = 'a\tb\r\n€🚀'
    expect(reviewPaste(text, true)).toMatchObject({ text, bytes: 12, removed: 0 })
  })
})

describe('a stored arrangement', () => {
  const layout = splitPane(addTab(EMPTY_LAYOUT, 'T', 'p1'), 'p1', 'row', 'p2', 's')
  const panes = {
    p1: { targetId: 't', credentialId: null, sessionId: 's-1' },
    p2: { targetId: 't', credentialId: 'c', sessionId: null },
  }

  test('comes back as it was', () => {
    expect(parseWorkspace(JSON.stringify({ layout, panes }))).toEqual({ layout, panes })
  })

  test.each([
    ['nothing', null],
    ['no JSON', '{'],
    ['another shape', '[]'],
    ['a pane that is not there', JSON.stringify({ layout, panes: { p1: panes.p1 } })],
    ['the same pane twice', JSON.stringify({ layout: { ...layout, tabs: [...layout.tabs, ...layout.tabs] }, panes })],
    ['far too much', JSON.stringify({ layout, panes, more: 'x'.repeat(100_001) })],
  ])('that is %s is left alone', (_, stored) => expect(parseWorkspace(stored)).toBeNull())
})

describe('preferences', () => {
  test('what does not fit falls back, the rest holds', () => {
    expect(readPreferences({ fontSize: 900, theme: 'nord', font: 'toString', copyOnSelect: 'yes' })).toEqual({
      ...DEFAULT_PREFERENCES,
      theme: 'nord',
    })
    expect(readPreferences(null)).toEqual(DEFAULT_PREFERENCES)
    expect(readPreferences({ fontSize: Number.NaN }).fontSize).toBe(14)
  })

  test('the automatic theme follows the console', () => {
    expect(themeOf('auto', 'dark').dark).toBe(true)
    expect(themeOf('auto', 'light').dark).toBe(false)
    expect(themeOf('gone', 'dark').id).toBe('graphite')
  })

  test.each(THEMES.map((theme) => [theme.name, theme.colours]))('%s has every colour', (_, colours) => {
    const values = Object.values(colours)
    expect(values).toHaveLength(24)
    for (const value of values) expect(value).toMatch(/^#[0-9a-f]{6,8}$/)
  })

  test('what programs print in a colour can be read in the theme of a light page', () => {
    const { background = '', ...colours } = themeOf(DEFAULT_LIGHT, 'light').colours
    const printed = ANSI_NAMES.filter((name) => name !== 'brightWhite').map((name) => [name, contrast(String(colours[name]), background)] as const)
    expect(printed.filter(([, ratio]) => ratio < 4.5)).toEqual([])
  })
})

test('durations are said in words', () => {
  expect([-5, 900, 59_000, 300_000, 720_000, 7_500_000].map(inWords)).toEqual(['0 s', '1 s', '59 s', '5 min 0 s', '12 min', '2 h 5 min'])
})

const ANSI_NAMES = [
  'black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white',
  'brightBlack', 'brightRed', 'brightGreen', 'brightYellow', 'brightBlue', 'brightMagenta', 'brightCyan', 'brightWhite',
] as const

/** The contrast of two colours as WCAG 2 computes it. */
function contrast(one: string, other: string): number {
  const [light = 0, dark = 0] = [one, other].map(luminance).toSorted((a, b) => b - a)
  return (light + 0.05) / (dark + 0.05)
}

function luminance(hex: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((from) => {
    const value = Number.parseInt(hex.slice(from, from + 2), 16) / 255
    return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}
