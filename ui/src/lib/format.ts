/** How values are written for people. Times arrive as RFC 3339 in UTC and are shown in the person's zone. */

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' })
const exact = new Intl.DateTimeFormat('en-GB', {
  weekday: 'short',
  day: '2-digit',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  timeZoneName: 'short',
})
const dayTime = new Intl.DateTimeFormat('en-GB', { day: '2-digit', month: 'short', hour: '2-digit', minute: '2-digit' })
const day = new Intl.DateTimeFormat('en-GB', { day: '2-digit', month: 'short', year: 'numeric' })
const timeOfDay = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' })

const STEPS: [limit: number, divisor: number, unit: Intl.RelativeTimeFormatUnit][] = [
  [60, 1, 'second'],
  [3600, 60, 'minute'],
  [86_400, 3600, 'hour'],
  [7 * 86_400, 86_400, 'day'],
  [60 * 86_400, 7 * 86_400, 'week'],
  [730 * 86_400, 30 * 86_400, 'month'],
  [Number.POSITIVE_INFINITY, 365 * 86_400, 'year'],
]

/** "just now", "3 min ago", "in 2 hr". */
export function formatRelative(time: string, now: number): string {
  const seconds = (Date.parse(time) - now) / 1000
  if (Number.isNaN(seconds)) return '–'
  const distance = Math.abs(seconds)
  // The clock of the page moves every ten seconds, and the hub's own may be a little ahead.
  if (distance < 45) return seconds > 15 ? 'in a moment' : 'just now'
  const [, divisor, unit] = STEPS.find(([limit]) => distance < limit) ?? ([0, 60, 'minute'] as const)
  const amount = seconds / divisor
  // Of long times whole units are too coarse: 89 days are three months rather than two.
  return relative.format(divisor > 86_400 ? Math.round(amount) : Math.trunc(amount), unit)
}

/** Day, date, time with seconds and zone. */
export const formatExact = (time: string): string => {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? '–' : exact.format(date)
}

/** Day, month and year. */
export const formatDay = (time: string): string => {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? '–' : day.format(date)
}

/** Time of day with seconds. */
export const formatSeconds = (time: string): string => {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? '–' : timeOfDay.format(date)
}

/** Day and time, short. */
export const formatDayTime = (time: string): string => {
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? '–' : dayTime.format(date)
}

/** The time of day; with its day, where that is not today. */
export const formatClock = (time: string, now: number): string =>
  new Date(time).toDateString() === new Date(now).toDateString() ? clock.format(new Date(time)) : formatDayTime(time)

/** "45 s", "12 min", "2 h 5 min", "3 d 4 h". */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '–'
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  const units: [number, string][] = [
    [86_400, 'd'],
    [3600, 'h'],
    [60, 'min'],
  ]
  const first = units.findIndex(([size]) => whole >= size)
  return units
    .slice(first, first + 2)
    .map(([size, unit], index) => [Math.floor((index === 0 ? whole : whole % (units[first]?.[0] ?? 1)) / size), unit] as const)
    .filter(([count, _unit], index) => index === 0 || count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ')
}

/** "812 B", "1.4 KiB", "38 MiB": two or three digits, powers of 1024. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`
}

/** A number with its noun: "1 target", "3 targets". */
export const count = (amount: number, one: string, many = `${one}s`): string =>
  `${amount.toLocaleString('en')} ${amount === 1 ? one : many}`

/** What a person is called: the name they have, or the one they sign in with. */
export const personName = (person: { display_name?: string | null; username: string }): string => person.display_name || person.username

/** The initials of a person, two at most. */
export const initials = (name: string): string =>
  name
    .split(/[\s._-]+/)
    .filter(Boolean)
    .slice(0, 2)
    .map((part) => [...part][0]?.toUpperCase() ?? '')
    .join('')

/** Where one connects to, as people write it; an IPv6 address gets its brackets. */
export const formatAddress = (host: string, port: number): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
