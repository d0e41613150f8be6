import type { Me } from '@/api/types'

/** What a page or an act asks for. The hub decides again on every call; this only hides what would be refused. */
export type Need = 'anyone' | 'see-sessions' | 'see-ledger' | 'see-infrastructure' | 'see-people' | 'administer'

const ROLES: Record<Need, string[] | null> = {
  anyone: null,
  'see-sessions': ['admin', 'operator', 'auditor'],
  'see-ledger': ['admin', 'auditor'],
  'see-infrastructure': ['admin', 'operator', 'auditor'],
  'see-people': ['admin', 'auditor'],
  administer: ['admin'],
}

/** Whether this person may. */
export const may = (me: Me, need: Need): boolean => {
  const roles = ROLES[need]
  return roles === null || roles.some((role) => me.roles.includes(role))
}

/** Whether this person may end a session of someone else. */
export const mayTerminateAny = (me: Me): boolean => me.roles.includes('admin') || me.roles.includes('operator')

/** The roles that can be given, with what they mean. */
export const ROLE_CHOICES = [
  { value: 'admin', label: 'Administrator', help: 'Everything: sets up targets, credentials and people, and may connect to every target.' },
  { value: 'operator', label: 'Operator', help: 'Sees all sessions and ends any of them; reads the infrastructure.' },
  { value: 'auditor', label: 'Auditor', help: 'Sees all sessions and the ledger; changes nothing.' },
] as const

/** A role as people call it. */
export const roleName = (role: string): string => ROLE_CHOICES.find(({ value }) => value === role)?.label ?? role
