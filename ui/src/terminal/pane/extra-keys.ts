/** Keys that are pressed on the page, for keyboards that do not have them. */
export type ExtraKey = 'escape' | 'tab' | 'up' | 'down' | 'left' | 'right'

const ARROWS = { up: 'A', down: 'B', right: 'C', left: 'D' } as const

/** What a key sends; arrows have two forms, of which the program chose one. */
export function bytesOf(key: ExtraKey, applicationCursor: boolean): string {
  if (key === 'escape') return '\x1b'
  if (key === 'tab') return '\t'
  return `\x1b${applicationCursor ? 'O' : '['}${ARROWS[key]}`
}

/** What a character is with Ctrl held; others are what they are. */
export function withControl(text: string): string {
  if (text.length !== 1) return text
  const code = text.toUpperCase().charCodeAt(0)
  if (text === ' ') return '\0'
  return code >= 0x40 && code <= 0x5f ? String.fromCharCode(code - 0x40) : text
}
