/** The shape of a recording as the hub hands it out; times are seconds since its beginning. */

/** `o` output, `i` input, `r` a new size, `m` a marker. */
export type PlayerEvent = readonly [time: number, code: string, data: string]
export type Marker = readonly [time: number, label: string]

/** The list of a recording's segments; the first starts at 0. */
export interface PlayerIndex {
  duration: number
  term: Size
  segments: { start: number; url: string }[]
  markers: Marker[]
  /** What was run, best effort. */
  commands: Marker[]
}

/** One segment: the screen it begins with, and what happened until the next one. */
export interface PlayerSegment {
  snapshot: Size & { init: string }
  events: PlayerEvent[]
}

export interface Size {
  cols: number
  rows: number
}

/** "80x24" → a size; null for what is none. */
export function parseSize(text: string): Size | null {
  const [, cols, rows] = /^(\d{1,4})x(\d{1,4})$/.exec(text) ?? []
  return cols && rows ? { cols: Number(cols), rows: Number(rows) } : null
}

/** Whether something is seen when this happens. An output without text only fills a place. */
export const isSeen = ([, code, data]: PlayerEvent): boolean => code === 'r' || (code === 'o' && data !== '')

const two = (value: number) => String(value).padStart(2, '0')

/** "4:05", "1:04:05". */
export function formatPosition(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds))
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)]
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`
}
