import type { Me } from '@/api/types'

/** What a page or an act asks for. The hub decides again on every call; this only hides what would be refused. */
export type Need = 'anyone' | 'see-sessions' | 'search-recordings' | 'see-ledger' | 'see-infrastructure' | 'see-people' | 'see-settings' | 'administer'

const PERMISSION: Record<Exclude<Need, 'anyone' | 'search-recordings'>, string> = {
  'see-sessions': 'session.read_all',
  'see-ledger': 'audit.read',
  'see-infrastructure': 'infrastructure.read',
  'see-people': 'identity.read',
  'see-settings': 'settings.read',
  administer: 'target.manage',
}

/** Whether this person may. */
export const may = (me: Me, need: Need): boolean => {
  if (need === 'anyone') return true
  if (need === 'search-recordings') return maySearchAll(me) || me.permissions.includes('recording.play_own')
  return me.permissions.includes(PERMISSION[need])
}

/** Whether this person finds what everybody's sessions showed, or only their own's. */
export const maySearchAll = (me: Me): boolean => me.permissions.includes('recording.play')

/** Whether this person may end a session of someone else. */
export const mayEndAny = (me: Me): boolean => me.permissions.includes('session.terminate')

/** Whether this person may play the recording of a session that is theirs, or someone else's. */
export const mayPlay = (me: Me, userId: string): boolean =>
  me.permissions.includes('recording.play') || (userId === me.user.id && me.permissions.includes('recording.play_own'))

/** The roles that can be given, with what they mean. */
export const ROLE_CHOICES = [
  { value: 'admin', label: 'Administrator', help: 'Everything: sets up targets, credentials and people, and may connect to every target.' },
  { value: 'operator', label: 'Operator', help: 'Sees all sessions and ends any of them; reads the infrastructure.' },
  { value: 'auditor', label: 'Auditor', help: 'Sees all sessions, plays their recordings and reads the ledger; changes nothing.' },
] as const

/** A role as people call it. */
export const roleName = (role: string): string => ROLE_CHOICES.find(({ value }) => value === role)?.label ?? role

/** What roles other than the administrator's may do, as the hub's `permissions.rs` has it. */
const ROLE_PERMISSIONS: Record<string, string[]> = {
  operator: ['session.read_all', 'session.terminate', 'infrastructure.read', 'settings.read'],
  auditor: ['session.read_all', 'audit.read', 'infrastructure.read', 'identity.read', 'settings.read'],
}

/** The permissions that roles give, among those that this person can hand on. */
export const permissionsOf = (me: Me, roles: readonly string[]): string[] =>
  me.permissions.filter((permission) => roles.some((role) => role === 'admin' || ROLE_PERMISSIONS[role]?.includes(permission)))
