/** What codes and internal names are called in front of people. */
import type { ApiProblem } from '@/api/problem'
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

/** "target.host_key_trusted" → "Target host key trusted". */
export const sentence = (identifier: string): string => {
  const words = identifier.replaceAll(/[._-]+/g, ' ').trim()
  return words.charAt(0).toUpperCase() + words.slice(1)
}
