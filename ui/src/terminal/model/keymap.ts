import type { Side } from './layout'

/** What a key asks of the workspace. Everything else belongs to the shell. */
export type Command =
  | { do: 'palette' | 'new-tab' | 'split-row' | 'split-column' | 'close-pane' | 'find' | 'copy' | 'paste' }
  | { do: 'larger' | 'smaller' | 'default-size' | 'settings' | 'duplicate' }
  | { do: 'step-tab'; step: 1 | -1 }
  | { do: 'go-to-tab'; index: number }
  | { do: 'focus'; side: Side }

export type KeyPress = Pick<KeyboardEvent, 'ctrlKey' | 'shiftKey' | 'altKey' | 'metaKey' | 'code' | 'key'>

const WITH_CONTROL_SHIFT: Record<string, Command> = {
  KeyK: { do: 'palette' },
  Enter: { do: 'new-tab' },
  KeyE: { do: 'split-row' },
  KeyS: { do: 'split-column' },
  KeyD: { do: 'duplicate' },
  KeyX: { do: 'close-pane' },
  KeyF: { do: 'find' },
  KeyC: { do: 'copy' },
  KeyV: { do: 'paste' },
  Comma: { do: 'settings' },
  BracketLeft: { do: 'step-tab', step: -1 },
  BracketRight: { do: 'step-tab', step: 1 },
}

const ARROWS: Record<string, Side> = {
  ArrowLeft: 'left',
  ArrowRight: 'right',
  ArrowUp: 'up',
  ArrowDown: 'down',
}

/** The workspace command of a key press, or `null` where the shell gets it. */
export function commandOf(press: KeyPress): Command | null {
  const { ctrlKey, shiftKey, altKey, metaKey, code, key } = press
  if ((ctrlKey || metaKey) && !altKey && (key === '+' || key === '=' || code === 'NumpadAdd')) return { do: 'larger' }
  if ((ctrlKey || metaKey) && !altKey && !shiftKey) {
    if (key === '-' || code === 'NumpadSubtract') return { do: 'smaller' }
    if (key === '0' || code === 'Numpad0') return { do: 'default-size' }
    return null
  }
  if (ctrlKey && shiftKey && !altKey && !metaKey) {
    const digit = /^Digit([1-9])$/.exec(code)?.[1]
    if (digit) return { do: 'go-to-tab', index: Number(digit) - 1 }
    return WITH_CONTROL_SHIFT[code] ?? null
  }
  if (altKey && shiftKey && !ctrlKey && !metaKey) {
    const side = ARROWS[code]
    return side ? { do: 'focus', side } : null
  }
  return null
}
