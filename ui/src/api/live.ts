/**
 * What changes at the hub, as it happens. One page of the browser listens and tells the others: HTTP/1.1 has six
 * connections for all of them together. What is told is only that something changed; it is asked for as ever.
 */
import { apiPath } from './client'

/** Something happened: its type, and what it is about (`sessions/01…`). */
export interface LiveEvent {
  event_type: string
  subject: string | null
}

type Told = { kind: 'event'; event: LiveEvent } | { kind: 'reset' }

const NAME = 'openpam-live'
/** Before listening again after the connection ended, whatever ended it. */
const AGAIN_MS = 5_000

/**
 * Tells what happens until it is aborted; `onReset` when something may have been missed. Where `wanted` says no,
 * nobody listens: a connection that comes back by itself would keep the sign-in of somebody who is away.
 */
export function listen(signal: AbortSignal, wanted: () => boolean, onEvent: (event: LiveEvent) => void, onReset: () => void): void {
  const others = new BroadcastChannel(`${NAME}-told`)
  const hear = (told: Told) => (told.kind === 'event' ? onEvent(told.event) : onReset())
  const tell = (told: Told) => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel is of one origin
    others.postMessage(told)
    hear(told)
  }
  others.addEventListener('message', ({ data }: MessageEvent<Told>) => hear(data))
  signal.addEventListener('abort', () => others.close())
  // Without locks (plain http to another machine) nothing is told, and a reload shows what changed.
  if ('locks' in navigator) void listenInTurn(signal, wanted, tell)
}

/** Of the pages that somebody looks at, the one with the lock listens for all. */
async function listenInTurn(signal: AbortSignal, wanted: () => boolean, tell: (told: Told) => void) {
  while (!signal.aborted) {
    if (wanted()) await navigator.locks.request(NAME, { signal }, () => once(signal, wanted, tell)).catch(() => undefined)
    await pause(signal)
  }
}

/** One connection, to its end, or until nobody looks at this page any more. */
const once = (signal: AbortSignal, wanted: () => boolean, tell: (told: Told) => void) =>
  new Promise<void>((resolve) => {
    if (!wanted()) return resolve()
    const source = new EventSource(apiPath('/events/stream', {}))
    const watch = setInterval(() => !wanted() && end(), AGAIN_MS)
    const end = () => {
      clearInterval(watch)
      source.close()
      signal.removeEventListener('abort', end)
      resolve()
    }
    // What happened before this connection was heard by nobody.
    source.addEventListener('ready', () => tell({ kind: 'reset' }))
    source.addEventListener('reset', () => tell({ kind: 'reset' }))
    source.addEventListener('event', ({ data }: MessageEvent<string>) => {
      const event = read(data)
      if (event) tell({ kind: 'event', event })
    })
    source.addEventListener('error', end)
    signal.addEventListener('abort', end)
  })

function read(data: string): LiveEvent | null {
  try {
    const { event_type, subject } = JSON.parse(data) as LiveEvent
    return typeof event_type === 'string' ? { event_type, subject: subject ?? null } : null
  } catch {
    return null
  }
}

const pause = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, AGAIN_MS)
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true })
  })
