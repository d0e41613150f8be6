import { inWords } from '../model/words'
import type { ErrorMessage, ExitMessage } from './messages'

/** Why a terminal is over, in words for the person in front of it. */
export interface Ending {
  /** `exit`: the shell ended as asked; `lost`: the way back is gone; the rest are refusals. */
  kind: 'exit' | 'access' | 'terminated' | 'idle' | 'failed' | 'lost' | 'moved' | 'signed-out'
  title: string
  detail: string
  /** A stable code that can be quoted to support. */
  code: string | null
  exitStatus: number | null
  /** Finds the hub's log lines about it, where the hub said it. */
  requestId?: string | null
  /** The failed session, where it is the only thing that leads to what happened. */
  sessionId?: string | null
}

/** A failure the hub explained as a problem document. */
export interface Problem {
  status: number
  code: string
  title: string
  detail: string
  requestId?: string | null
  sessionId?: string | null
}

export const CLOSE_ENDED = 1000
export const CLOSE_ACCESS_ENDED = 4001
export const CLOSE_TERMINATED = 4003
export const CLOSE_IDLE = 4008
export const CLOSE_INTERNAL = 4500

/**
 * Whether a close code means that only the network failed and the session is
 * still there. Codes of 4000 and above are decisions of the hub; 1000 is the end.
 */
export function isResumable(code: number): boolean {
  return code !== CLOSE_ENDED && code < 4000
}

const RESTARTED = 'The gateway is restarting'

function exitTitle(exit: ExitMessage): string {
  if (exit.signal) return `The shell was ended by signal ${exit.signal}`
  if (exit.status === undefined || exit.status === 0) return 'The session ended'
  return `The shell exited with status ${exit.status}`
}

/** What to tell after the socket closed for good. */
export function describeClose(
  code: number,
  reason: string,
  exit: ExitMessage | null,
  error: ErrorMessage | null,
): Ending {
  const exitStatus = exit?.status ?? null
  const said = error?.message || exit?.reason || reason
  switch (code) {
    case CLOSE_ACCESS_ENDED:
      if (error?.code === 'signed_out') {
        return { kind: 'signed-out', title: 'You were signed out', detail: 'Your sign-in was ended, or your account was disabled. The session ended with it.', code: error.code, exitStatus }
      }
      return {
        kind: 'access',
        title: 'Your access ended',
        detail: said || 'The window that allowed this session has closed or was withdrawn.',
        code: error?.code ?? 'access_ended',
        exitStatus,
      }
    case CLOSE_TERMINATED:
      return {
        kind: 'terminated',
        title: 'This session was ended',
        detail: said || 'Ask your operators why before you connect again.',
        code: error?.code ?? 'terminated',
        exitStatus,
      }
    case CLOSE_IDLE:
      return {
        kind: 'idle',
        title: 'Ended because nothing happened',
        detail: said || 'The session was idle for longer than is allowed.',
        code: error?.code ?? 'idle_timeout',
        exitStatus,
      }
    case CLOSE_ENDED:
      if (error?.code === 'resumed_elsewhere') return MOVED
      if (error && !exit) break
      return {
        kind: 'exit',
        title: exit ? exitTitle(exit) : 'The session ended',
        // The title has told status and signal already.
        detail: exit?.signal || exit?.status || ['exit', 'exited', 'ended', 'end', 'closed'].includes(said) ? '' : said,
        code: null,
        exitStatus,
      }
    default:
      break
  }
  if (error?.code === 'hub_shutdown') {
    return {
      kind: 'lost',
      title: RESTARTED,
      detail: 'Your session ended with it. Connect again in a moment.',
      code: error.code,
      exitStatus,
    }
  }
  if (error) {
    return {
      kind: 'failed',
      title: error.code === 'connection_lost' ? 'The target is gone' : 'The session failed',
      detail: error.message,
      code: error.code,
      exitStatus,
    }
  }
  return {
    kind: 'failed',
    title: code === CLOSE_INTERNAL ? 'The gateway had an internal error' : 'The session was closed',
    detail: said || 'Connect again; if it happens twice, tell your administrator the code.',
    code: code === CLOSE_INTERNAL ? 'internal' : `close_${code}`,
    exitStatus,
  }
}

/** What it comes to, by the code of the refusal; the hub's sentence says the rest. */
const REFUSALS: Record<string, string> = {
  access_denied: 'You have no access to this target',
  target_disabled: 'This target is switched off',
  not_found: 'There is no such target for you',
  target_refused: 'The target refused the connection',
  target_timed_out: 'The target did not answer',
  target_unreachable: 'The target cannot be reached',
  target_name_not_found: 'The target’s name has no address',
  ssh_handshake_failed: 'The target did not answer as an SSH server does',
  host_key_unknown: 'Nobody has trusted this target yet',
  host_key_mismatch: 'The target’s host key changed',
  host_certificate_refused: 'The target’s host certificate was refused',
  ssh_auth_failed: 'The target refused the login',
  ssh_auth_timeout: 'The target did not answer the login',
  credential_unusable: 'The credential cannot be used',
  vault_unavailable: 'The vault does not answer',
  vault_sealed: 'The vault is sealed',
  vault_path_missing: 'The vault has no secret for this credential',
  vault_permission_denied: 'The vault does not give this credential',
  too_many_sessions: 'You have too many sessions open',
  hub_full: 'The gateway is full',
  hub_stopping: RESTARTED,
}

const plain = (text: string) => text.replaceAll('’', "'").toLowerCase()

/** A sentence that only says again what stands above it is left out. */
function withoutTitle(title: string, detail: string): string {
  if (!plain(detail).startsWith(plain(title))) return detail
  const rest = detail.slice(title.length)
  if (/^[.:;]?\s*$/.test(rest)) return ''
  return rest.startsWith('. ') ? rest.slice(2) : detail
}

/** What to tell when the hub refused to open a session. */
export function describeRefusal(problem: Problem): Ending {
  if (problem.status === 401) return signedOut(problem.code)
  const title = REFUSALS[problem.code] ?? (problem.status === 403 ? 'You may not connect now' : 'Could not connect')
  return {
    kind: problem.status === 403 ? 'access' : 'failed',
    title,
    detail: withoutTitle(title, problem.detail || problem.title),
    sessionId: problem.sessionId,
    code: problem.code,
    exitStatus: null,
    requestId: problem.requestId,
  }
}

/** What to tell when the hub refused to continue a session; `keptFor` milliseconds it was kept, where that is over. */
export function describeResumeRefusal(problem: Problem, keptFor: number | null = null): Ending {
  if (problem.status === 401) return signedOut(problem.code)
  if (problem.status === 403) {
    return {
      kind: 'access',
      title: 'Your access ended',
      detail: problem.detail || 'The session cannot be continued.',
      code: problem.code,
      exitStatus: null,
      requestId: problem.requestId,
    }
  }
  return {
    kind: 'lost',
    title: 'The session is no longer there',
    detail:
      (keptFor !== null && problem.code === 'session_ended' && `It was kept for you for ${inWords(keptFor)} and then ended. What it had shown is kept above.`) ||
      problem.detail ||
      'It ended while you were disconnected. What it had shown is kept above.',
    code: problem.code,
    exitStatus: null,
    requestId: problem.requestId,
  }
}

function signedOut(code: string): Ending {
  return {
    kind: 'signed-out',
    title: 'Your sign-in expired',
    detail: 'Sign in again; a session that is still open can then be resumed.',
    code,
    exitStatus: null,
  }
}

export const UNREACHABLE: Ending = {
  kind: 'lost',
  title: 'The gateway cannot be reached',
  detail: 'Your network or the gateway is down. Try again when it is back.',
  code: 'unreachable',
  exitStatus: null,
}

export const CUT: Ending = {
  kind: 'failed',
  title: 'Could not connect',
  detail: 'The connection to the gateway was cut before the session began. Try again.',
  code: 'connection_cut',
  exitStatus: null,
}

/** A terminal from before a reload whose session had ended: a new one is opened only when it is asked for. */
export const LEFT: Ending = {
  kind: 'lost',
  title: 'Not connected',
  detail: 'The session here had ended before the page was loaded again.',
  code: null,
  exitStatus: null,
}

export const MOVED: Ending = {
  kind: 'moved',
  title: 'Continued in another window',
  detail: 'This session is now shown in another window of this browser.',
  code: null,
  exitStatus: null,
}
