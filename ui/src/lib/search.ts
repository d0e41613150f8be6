/** Small readers for search parameters: what does not fit is dropped, a link never breaks a page. */

type Raw = Record<string, unknown>

/** A text, cut to a sane length. */
export const textParam = (raw: Raw, name: string, max = 300): string | undefined => {
  const value = raw[name]
  if (typeof value === 'number' || typeof value === 'boolean') return String(value).slice(0, max)
  return typeof value === 'string' && value !== '' ? value.slice(0, max) : undefined
}

/** One of a fixed set. */
export const choiceParam = <Choice extends string>(raw: Raw, name: string, choices: readonly Choice[]) => {
  const value = raw[name]
  return choices.find((choice) => choice === value)
}

/** A day, as `2026-03-01`. */
export const dayParam = (raw: Raw, name: string): string | undefined => {
  const value = raw[name]
  return typeof value === 'string' && /^\d{4}-\d{2}-\d{2}$/.test(value) && !Number.isNaN(Date.parse(value)) ? value : undefined
}

/** A switch; only `true` is written into a link. */
export const flagParam = (raw: Raw, name: string): true | undefined =>
  raw[name] === true || raw[name] === 'true' || raw[name] === 1 ? true : undefined

/** Seconds since a beginning, to the millisecond. */
export const secondsParam = (raw: Raw, name: string): number | undefined => {
  const value = typeof raw[name] === 'string' ? Number.parseFloat(raw[name]) : raw[name]
  return typeof value === 'number' && value >= 0 && value < 1e7 ? Math.round(value * 1000) / 1000 : undefined
}

/** A path of this application to return to; anything that could leave the origin is dropped. */
export function returnPath(value: unknown): string | undefined {
  if (typeof value !== 'string' || !value.startsWith('/') || value.length > 2000) return undefined
  const here = 'http://origin.invalid'
  if (!URL.canParse(value, here)) return undefined
  const url = new URL(value, here)
  if (url.origin !== here || url.pathname.startsWith('//') || url.pathname === '/login') return undefined
  return url.pathname + url.search + url.hash
}
