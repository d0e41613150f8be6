import { useQuery } from '@tanstack/react-query'
import { users } from '@/api/hub'
import type { Session, Target, User } from '@/api/types'
import type { SaveQuestion } from '@/components/form'
import { SessionsThatEnd } from '@/components/sessions-that-end'
import { Skeleton } from '@/components/states'

type Access = Pick<Target, 'group_ids' | 'credential_ids' | 'enabled'>

/** Whether a session rests on something that a change of the target takes away. */
export function endsBy(before: Access, after: Access, people: User[]): (session: Session) => boolean {
  const byId = new Map(people.map((person) => [person.id, person]))
  const groupsGone = before.group_ids.some((id) => !after.group_ids.includes(id))
  return ({ credential_id, user_id }) => {
    if (!after.enabled) return true
    if (credential_id && !after.credential_ids.includes(credential_id)) return true
    if (!groupsGone) return false
    const person = byId.get(user_id)
    if (person?.effective_roles.includes('admin')) return false
    return !person?.group_ids.some((id) => after.group_ids.includes(id))
  }
}

/** What to ask before groups, credentials or the switch are taken from a target. */
export function takenAway(target: Target, after: Access): SaveQuestion | null {
  const groups = target.group_ids.some((id) => !after.group_ids.includes(id))
  const credentials = target.credential_ids.some((id) => !after.credential_ids.includes(id))
  const off = target.enabled && !after.enabled
  if (!groups && !credentials && !off) return null
  const what = [groups && 'access groups', credentials && 'credentials'].filter(Boolean).join(' and ')
  return {
    title: off ? `Switch ${target.name} off?` : `Take ${what} from ${target.name}?`,
    action: 'Save',
    content: (
      <>
        {off ? (
          <>Nobody can connect to <strong>{target.name}</strong> until it is switched on again.</>
        ) : (
          <>Whoever reaches <strong>{target.name}</strong> only by what you took away cannot connect any more.</>
        )}
        <Ending target={target} after={after} byGroup={groups && !off} />
      </>
    ),
  }
}

function Ending({ target, after, byGroup }: { target: Target; after: Access; byGroup: boolean }) {
  const people = useQuery({ ...users.all(), enabled: byGroup })
  if (byGroup && people.isPending) return <Skeleton className="mt-3 w-56" />
  return <SessionsThatEnd of={{ target_id: target.id }} only={endsBy(target, after, people.data ?? [])} />
}
