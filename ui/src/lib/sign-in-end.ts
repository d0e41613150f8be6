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

/** Who did something within this time is at work. */
const AT_WORK_MS = 60_000

/**
 * Whether a sign-in is to be renewed now: somebody is at work here since the last request (which
 * would have kept it), and less than half of the time without one is left.
 */
export function wantsRenewal(session: Me['auth_session'], answeredAt: number, lastRequestAt: number, lastInputAt: number, now: number): boolean {
  const end = signInEnd(session, answeredAt, lastRequestAt)
  if (end.why !== 'idle' || lastInputAt <= lastRequestAt || now - lastInputAt > AT_WORK_MS) return false
  return end.at - now < (Date.parse(session.idle_expires_at) - answeredAt) / 2
}

/** Whether it is time to say something about it. */
export const isNear = (end: SignInEnd, now: number): boolean =>
  end.at - now <= (end.why === 'idle' ? WARN_IDLE_MS : WARN_ABSOLUTE_MS)
