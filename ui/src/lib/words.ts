/** What codes and internal names are called in front of people. */
import type { ApiProblem } from '@/api/problem'
import { formatDuration } from './format'

const SIGN_IN: Record<string, string> = {
  invalid_credentials: 'The user name or the password is wrong.',
  locked_out: 'Too many failed attempts: this account is locked for a while.',
  rate_limited: 'Too many attempts from here. Wait a moment and try again.',
  user_disabled: 'This account is switched off. Ask your administrator.',
  account_disabled: 'This account is switched off. Ask your administrator.',
  oidc_unavailable: 'The sign-in provider cannot be reached. Try again in a moment, or use a local account.',
  provider_unavailable: 'The sign-in provider cannot be reached. Try again in a moment, or use a local account.',
  oidc_state_invalid: 'This sign-in was already used or has grown too old. Start again.',
  state_invalid: 'This sign-in was already used or has grown too old. Start again.',
  oidc_code_expired: 'The provider’s answer had expired. Start again.',
  oidc_code_invalid: 'The provider did not accept the sign-in. Start again.',
  oidc_tenant_not_allowed: 'Your organisation may not sign in here. Use an account of the right directory.',
  tid_not_allowed: 'Your organisation may not sign in here. Use an account of the right directory.',
  access_denied: 'The sign-in was cancelled at the provider.',
  oidc_token_invalid: 'The provider’s answer could not be trusted. If it happens again, tell your administrator.',
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
