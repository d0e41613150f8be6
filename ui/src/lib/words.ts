/** What codes and internal names are called in front of people. */
import type { ApiProblem } from '@/api/problem'
import type { Outcome } from '@/api/types'
import { formatDuration } from './format'

/** By the codes of the hub's `domains/identity/error.rs`; the callback hands over nothing but the code. */
const SIGN_IN: Record<string, string> = {
  invalid_credentials: 'The user name or the password is wrong.',
  locked_out: 'Too many failed attempts: this account is locked for a while.',
  rate_limited: 'Too many attempts from here. Wait a moment and try again.',
  busy: 'Too many people are signing in right now. Try again in a moment.',
  account_disabled: 'This account is switched off. Ask your administrator.',
  identity_provider_not_configured: 'Single sign-on is not set up here. Use a local account.',
  identity_provider_unavailable: 'The sign-in provider cannot be reached. Try again in a moment, or use a local account.',
  login_state_invalid: 'This sign-in was used already, or it was begun in another browser. Start again.',
  login_expired: 'The sign-in took too long. Start again.',
  login_code_rejected: 'The provider did not accept the sign-in; it may have grown too old. Start again.',
  login_refused: 'The provider refused the sign-in, or it was cancelled there. Try again or ask your administrator.',
  id_token_invalid: 'The provider’s answer could not be trusted. If it happens again, tell your administrator.',
  tenant_not_allowed: 'Your organisation may not sign in here. Use an account of the right directory.',
  database_unavailable: 'The hub cannot reach its database. Try again in a moment; if it stays, tell your administrator.',
}

/** What went wrong with signing in; `calm` when nothing did. */
export function signInProblem(code: string, problem?: ApiProblem): { message: string; calm: boolean } {
  if (code === 'expired') return { message: 'Your sign-in has ended. Sign in to go on where you were.', calm: true }
  if (code === 'signed_out') return { message: 'You are signed out.', calm: true }
  const wait = problem?.retryAfter ? ` Try again in ${formatDuration(problem.retryAfter)}.` : ''
  const message = SIGN_IN[code] ?? problem?.message ?? 'Signing in did not work. Try again; if it stays, tell your administrator.'
  return { message: message + wait, calm: false }
}

const STAGES: Record<string, string> = {
  decide: 'Check permission',
  resolve: 'Find the address',
  connect: 'Reach the port',
  host_key: 'Verify the host key',
  vault: 'Read the credential',
  authenticate: 'Log in',
  shell: 'Open a shell',
}

/** A stage of a connection test. */
export const stageName = (stage: string): string => STAGES[stage] ?? sentence(stage)

const ACTIONS: Record<string, string> = {
  'api_token.create': 'Token created',
  'api_token.revoke': 'Token revoked',
  'audit.read': 'Ledger read',
  'event.ingest': 'Event published',
  'event.replay': 'Event delivered again',
  'credential.create': 'Credential created',
  'credential.delete': 'Credential deleted',
  'credential.secret.set': 'Secret stored in the vault',
  'credential.update': 'Credential changed',
  'group.create': 'Group created',
  'group.delete': 'Group deleted',
  'group.member_add': 'Member added',
  'group.member_remove': 'Member removed',
  'group.update': 'Group changed',
  'identity.login': 'Sign-in',
  'identity.logout': 'Sign-out',
  'identity.password_change': 'Own password changed',
  'identity.refresh': 'Sign-in renewed',
  'identity.session_revoke': 'Sign-in ended',
  'recording.close': 'Recording closed',
  'recording.damaged': 'Recording found damaged',
  'recording.sound': 'Recording found whole again',
  'recording.export': 'Recording exported',
  'audit.export': 'Ledger exported',
  'evidence.export': 'Evidence exported',
  'ledger.resume': 'Ledger begun anew after a restore',
  'recording.head': 'Head of a recording noted',
  'recording.hold': 'Recording put on hold',
  'recording.key.create': 'Recording key created',
  'recording.index': 'Recording opened to index its text',
  'recording.play': 'Recording played',
  'recording.purge': 'Recording to be deleted',
  'recording.purged': 'Recording deleted',
  'recording.release': 'Hold of a recording lifted',
  'recording.segments_lost': 'Recording closed without lost segments',
  'recording.spool_aside': 'Late segments set aside',
  'recording.spool_lost': 'Recording closed without a lost spool',
  'recording.search': 'Recordings searched',
  'service_account.create': 'Service account created',
  'service_account.delete': 'Service account deleted',
  'service_account.update': 'Service account changed',
  'session.authorize': 'Connection allowed',
  'session.end': 'Session ended',
  'session.input_grant': 'Typing in a session allowed',
  'session.input_refuse': 'Typing in a session refused',
  'session.input_request': 'Asked to type in a session',
  'session.input_take_back': 'Typing in a session taken back',
  'session.join': 'Session joined',
  'session.join_end': 'Joined session left',
  'session.reauthorize': 'Open session allowed again',
  'session.resume': 'Session resumed',
  'session.start': 'Session started',
  'session.terminate': 'Session ended early',
  'session.watch': 'Session watched',
  'session.watch_end': 'Watching a session ended',
  'settings.update': 'Settings changed',
  'site.create': 'Site created',
  'site.delete': 'Site deleted',
  'site.update': 'Site changed',
  'target.create': 'Target created',
  'target.credentials.set': 'Credentials of a target set',
  'target.delete': 'Target deleted',
  'target.favorite.add': 'Favourite added',
  'target.favorite.remove': 'Favourite removed',
  'target.host_key.distrust': 'Host key no longer trusted',
  'target.host_key.trust': 'Host key trusted',
  'target.scan': 'Host keys scanned',
  'target.test': 'Connection test begun',
  'target.test.result': 'Connection tested',
  'target.update': 'Target changed',
  'tenant.create': 'Tenant created',
  'user.create': 'User created',
  'user.delete': 'User deleted',
  'user.password_set': 'Password set',
  'user.unlock': 'User unlocked',
  'user.update': 'User changed',
  'webhook.create': 'Webhook created',
  'webhook.delete': 'Webhook deleted',
  'webhook.replay': 'Failed events delivered again',
  'webhook.secret.rotate': 'Secret of a webhook renewed',
  'webhook.test': 'Webhook tested',
  'webhook.update': 'Webhook changed',
  'zone.create': 'Zone created',
  'zone.delete': 'Zone deleted',
  'zone.update': 'Zone changed',
}

const DENIED: Record<string, string> = {
  'session.join': 'Joining a session denied',
  'session.watch': 'Watching a session denied',
  'session.authorize': 'Connection denied',
  'session.reauthorize': 'Open session no longer allowed',
}

/** What an entry of the ledger tells of; an action that is new here is shown by its own name. */
export const actionName = (action: string, outcome?: Outcome): string =>
  (outcome === 'denied' ? DENIED[action] : undefined) ?? ACTIONS[action] ?? sentence(action)

/** Who did something. A part of the hub is no person, whose name would read as one: only commands are named. */
export const actorName = (actor: { type: string; name?: string | null }): string =>
  actor.type === 'system' && !actor.name?.startsWith('openpam ') ? 'The hub' : (actor.name ?? sentence(actor.type))

/** What the hub says about a field, as a sentence beside it: "must not be empty" → "It must not be empty." */
export function fieldSentence(message: string): string {
  const subject = /^(is|must|may|can|cannot|does|has|names|needs|contains)\b/.test(message) ? `It ${message}` : message
  const text = subject.charAt(0).toUpperCase() + subject.slice(1)
  return /[.!?]$/.test(text) ? text : `${text}.`
}

/** "target.host_key_trusted" → "Target host key trusted", "api_token" → "API token". */
export const sentence = (identifier: string): string => {
  const words = identifier.replaceAll(/[._-]+/g, ' ').trim().replaceAll(/\b(api|ssh)\b/g, (word) => word.toUpperCase())
  return words.charAt(0).toUpperCase() + words.slice(1)
}
