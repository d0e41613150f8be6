import type { Me, Permission } from '@/api/types'

/** What a page or an act asks for. The hub decides again on every call; this only hides what would be refused. */
export type Need = 'anyone' | 'see-sessions' | 'search-recordings' | 'see-ledger' | 'see-infrastructure' | 'see-people' | 'see-events' | 'see-settings' | 'administer'

const PERMISSION: Record<Exclude<Need, 'anyone' | 'search-recordings'>, string> = {
  'see-sessions': 'session.read_all',
  'see-ledger': 'audit.read',
  'see-infrastructure': 'infrastructure.read',
  'see-people': 'identity.read',
  'see-events': 'event.read',
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

/** Whether this person may watch sessions of others while they run. */
export const mayWatch = (me: Me): boolean => me.permissions.includes('session.watch')

/** Whether this person may join sessions of others. */
export const mayJoin = (me: Me): boolean => me.permissions.includes('session.join')

/** Whether this person may play the recording of a session that is theirs, or someone else's. */
export const mayPlay = (me: Me, userId: string): boolean =>
  me.permissions.includes('recording.play') || (userId === me.user.id && me.permissions.includes('recording.play_own'))

/** Whether this person may put recordings on hold, and lift it. */
export const mayHold = (me: Me): boolean => me.permissions.includes('recording.hold')

/** Whether this person may delete recordings. */
export const mayPurge = (me: Me): boolean => me.permissions.includes('recording.purge')

/** Whether this person chooses who gets events, and delivers them again. */
export const mayManageEvents = (me: Me): boolean => me.permissions.includes('event.manage')

/** The roles that can be given, with what they mean. */
export const ROLE_CHOICES = [
  { value: 'admin', label: 'Administrator', help: 'Everything: sets up targets, credentials and people, and may connect to every target.' },
  { value: 'operator', label: 'Operator', help: 'Sees all sessions, joins and ends any of them; reads the infrastructure.' },
  { value: 'auditor', label: 'Auditor', help: 'Sees all sessions, watches them, plays their recordings and can put them on hold, reads the ledger; changes nothing else.' },
] as const

/** A role as people call it. */
export const roleName = (role: string): string => ROLE_CHOICES.find(({ value }) => value === role)?.label ?? role

/** The permissions that roles give, among those that this person can hand on. */
export const permissionsOf = (me: Me, known: readonly Permission[], roles: readonly string[]): Permission[] =>
  known.filter(({ name, roles: givers }) => me.permissions.includes(name) && givers.some((role) => roles.includes(role)))

/** What a permission allows, in a line: the first statement of its description. */
export const permissionName = ({ description }: Permission): string => description.split(/[.:](?:\s|$)/)[0] ?? description
