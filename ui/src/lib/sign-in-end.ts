/** When a sign-in ends, so that nobody is surprised by it. */
import type { Me } from '@/api/types'

/** What is said about the coming end of a sign-in. */
export interface SignInEnd {
  /** Milliseconds since the epoch. */
  at: number
  /** `idle`: any request keeps it. `absolute`: only signing in again does. */
  why: 'idle' | 'absolute'
}

/** How long before its end a sign-in is talked about. */
export const WARN_IDLE_MS = 3 * 60_000
export const WARN_ABSOLUTE_MS = 15 * 60_000

/** The hub writes activity down at most this often. */
const TOUCH_MS = 60_000

/**
 * When the sign-in ends. `me` was answered at `answeredAt`; each later request, the last at
 * `lastRequestAt`, moves the end by idleness, but never past the absolute one.
 */
export function signInEnd(session: Me['auth_session'], answeredAt: number, lastRequestAt: number): SignInEnd {
  const absolute = Date.parse(session.expires_at)
  const idle = Date.parse(session.idle_expires_at) + Math.max(0, lastRequestAt - answeredAt - TOUCH_MS)
  return idle < absolute ? { at: idle, why: 'idle' } : { at: absolute, why: 'absolute' }
}

/** Whether it is time to say something about it. */
export const isNear = (end: SignInEnd, now: number): boolean =>
  end.at - now <= (end.why === 'idle' ? WARN_IDLE_MS : WARN_ABSOLUTE_MS)
