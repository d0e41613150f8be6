/** What is about to be pasted, and what a person should know before it reaches a shell. */
export interface PasteReview {
  /** The text with the control characters taken out that could act as keys. */
  text: string
  lines: number
  bytes: number
  /** Control characters that were taken out. */
  removed: number
  needsConfirmation: boolean
}

/** From this size on a paste is asked about, whatever its lines. */
export const BIG_PASTE_BYTES = 16 * 1024

// Everything below space but tab and line ends, DEL, and the C1 controls: an escape
// sequence hidden in copied text could end bracketed paste and run what follows.
// oxlint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g

export function reviewPaste(pasted: string, confirmLines: boolean): PasteReview {
  const text = pasted.replace(CONTROLS, '')
  const ends = text.match(/\r\n|\r|\n/g)?.length ?? 0
  const lines = ends + (/[\r\n]$/.test(text) || text === '' ? 0 : 1)
  const bytes = new TextEncoder().encode(text).length
  const removed = pasted.length - text.length
  return {
    text,
    lines,
    bytes,
    removed,
    needsConfirmation: bytes >= BIG_PASTE_BYTES || removed > 0 || (confirmLines && ends > 0),
  }
}
