/**
 * The messages of the subprotocol `openpam.terminal.v1`.
 *
 * Binary frames are terminal bytes in both directions; text frames are the JSON
 * objects below. Anything else a server sends is ignored, so that a newer hub
 * can add messages without breaking an open page.
 */

export const SUBPROTOCOL = 'openpam.terminal.v1'

/** Parsed bytes after which the client acknowledges. The hub stops at 384 KiB. */
export const ACK_EVERY_BYTES = 32 * 1024

/** A text frame longer than this is not a message of the protocol. */
const MAX_TEXT_MESSAGE = 64 * 1024

export interface TerminalSize {
  cols: number
  rows: number
}

export interface ReadyMessage {
  type: 'ready'
  session_id: string
  resume_token: string
  /** The bytes that follow draw the screen anew instead of continuing it. */
  snapshot: boolean
  /** Stream position of the first byte that follows, where the hub says it. */
  offset?: number
  /** Bytes of input the hub has taken since the session began, over all connections. */
  input?: number
  /** Finds the hub's log lines about this connection. */
  request_id?: string
  /** How long the session is kept for a page whose connection was lost, where the hub says it. */
  resume_seconds?: number
  /** Whether the session is recorded, where the hub says it. */
  recorded?: boolean
}

/** The first message to who watches a session, and again when they fell behind. */
export interface WatchReadyMessage extends TerminalSize {
  type: 'watch-ready'
  session_id: string
  /** Who this page is to the session. */
  participant: string
  /** Whose session it is. */
  user_name: string
  offset: number
  recorded: boolean
}

/** To who watches: the terminal has another size from here on. */
export interface SizeMessage extends TerminalSize {
  type: 'size'
}

export type InputRight = 'none' | 'asked' | 'granted'

/** Somebody who joined a session. */
export interface JoinedParticipant {
  participant: string
  name: string
  input: InputRight
}

/** Who is there beside the session's person. */
export interface ParticipantsMessage {
  type: 'participants'
  watching: string[]
  joined: JoinedParticipant[]
}

export interface NoticeMessage {
  type: 'notice'
  message: string
  /** RFC 3339; when access ends, where the notice is about that. */
  ends_at?: string
  /** What it is about: `idle_soon` asks for a key, `idle_over` says that one came. */
  code?: string
  /** Whether the session is recorded from now on, where that has changed. */
  recorded?: boolean
}

export interface ExitMessage {
  type: 'exit'
  status?: number
  signal?: string
  reason: string
}

export interface ErrorMessage {
  type: 'error'
  code: string
  message: string
  request_id?: string
}

export type ServerMessage =
  | ReadyMessage
  | WatchReadyMessage
  | SizeMessage
  | ParticipantsMessage
  | NoticeMessage
  | ExitMessage
  | ErrorMessage

export type ClientMessage =
  | { type: 'resize'; cols: number; rows: number }
  | { type: 'ack'; bytes: number }
  | { type: 'disconnect' }
  | { type: 'request_input' }
  | { type: 'input'; participant: string; allowed: boolean }

const text = (value: unknown): string | undefined =>
  typeof value === 'string' ? value : undefined

const flag = (value: unknown): boolean | undefined =>
  typeof value === 'boolean' ? value : undefined

const count = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined

const side = (value: unknown): number | undefined => {
  const number = count(value)
  return number !== undefined && number >= 1 && number <= 1000 ? number : undefined
}

function size(fields: Record<string, unknown>): TerminalSize | null {
  const [cols, rows] = [side(fields.cols), side(fields.rows)]
  return cols === undefined || rows === undefined ? null : { cols, rows }
}

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])

function joined(value: unknown): JoinedParticipant | null {
  if (typeof value !== 'object' || value === null) return null
  const fields = value as Record<string, unknown>
  const [participant, name] = [text(fields.participant), text(fields.name)]
  const input = (['asked', 'granted'] as const).find((right) => right === fields.input) ?? 'none'
  return participant === undefined || name === undefined ? null : { participant, name, input }
}

/** `ready`, of one's own session or of one that is watched. */
function ready(fields: Record<string, unknown>): ReadyMessage | WatchReadyMessage | null {
  const session_id = text(fields.session_id)
  const resume_token = text(fields.resume_token)
  if (session_id === undefined) return null
  if (resume_token !== undefined) {
    return {
      type: 'ready',
      session_id,
      resume_token,
      snapshot: fields.snapshot === true,
      offset: count(fields.offset),
      input: count(fields.input),
      request_id: text(fields.request_id),
      recorded: flag(fields.recorded),
    }
  }
  const participant = text(fields.participant)
  const shown = size(fields)
  if (participant === undefined || shown === null) return null
  return {
    type: 'watch-ready',
    ...shown,
    session_id,
    participant,
    user_name: text(fields.user_name) ?? '',
    offset: count(fields.offset) ?? 0,
    recorded: fields.recorded === true,
  }
}

/** Reads a text frame; `null` for one that is not a known, well-formed message. */
export function parseServerMessage(frame: string): ServerMessage | null {
  if (frame.length > MAX_TEXT_MESSAGE) return null
  let value: unknown
  try {
    value = JSON.parse(frame)
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null) return null
  const fields = value as Record<string, unknown>
  switch (fields.type) {
    case 'ready':
      return ready(fields)
    case 'size': {
      const shown = size(fields)
      return shown && { type: 'size', ...shown }
    }
    case 'participants':
      return {
        type: 'participants',
        watching: list(fields.watching).filter((name) => typeof name === 'string'),
        joined: list(fields.joined).map(joined).filter((one) => one !== null),
      }
    case 'notice': {
      const message = text(fields.message)
      return message === undefined
        ? null
        : { type: 'notice', message, ends_at: text(fields.ends_at), code: text(fields.code), recorded: flag(fields.recorded) }
    }
    case 'exit':
      return {
        type: 'exit',
        status: count(fields.status),
        signal: text(fields.signal),
        reason: text(fields.reason) ?? '',
      }
    case 'error':
      return {
        type: 'error',
        code: text(fields.code) ?? 'internal',
        message: text(fields.message) ?? '',
        request_id: text(fields.request_id),
      }
    default:
      return null
  }
}

export interface ConnectParameters extends TerminalSize {
  targetId: string
  credentialId: string | null
  reason: string | null
  resume?: { sessionId: string; resumeToken: string; offset: number }
}

/** The address of a terminal socket, `base` being the page's own origin. */
export function connectUrl(base: string, parameters: ConnectParameters): string {
  const url = new URL(`/api/ws/connect/ssh/${encodeURIComponent(parameters.targetId)}`, base)
  url.protocol = url.protocol === 'https:' || url.protocol === 'wss:' ? 'wss:' : 'ws:'
  const query = url.searchParams
  if (parameters.credentialId) query.set('credential_id', parameters.credentialId)
  query.set('cols', String(parameters.cols))
  query.set('rows', String(parameters.rows))
  if (parameters.reason) query.set('reason', parameters.reason)
  if (parameters.resume) {
    query.set('session_id', parameters.resume.sessionId)
    query.set('resume_token', parameters.resume.resumeToken)
    query.set('offset', String(parameters.resume.offset))
  }
  return url.toString()
}

export type WatchMode = 'watch' | 'join'

/** The address to watch or join a session at. */
export function watchUrl(base: string, sessionId: string, mode: WatchMode): string {
  const url = new URL(`/api/ws/watch/${encodeURIComponent(sessionId)}`, base)
  url.protocol = url.protocol === 'https:' || url.protocol === 'wss:' ? 'wss:' : 'ws:'
  url.searchParams.set('mode', mode)
  return url.toString()
}
