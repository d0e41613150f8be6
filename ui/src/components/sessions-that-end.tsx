import { useInfiniteQuery } from '@tanstack/react-query'
import { sessions } from '@/api/hub'
import type { Session } from '@/api/types'
import { count } from '@/lib/format'
import { Skeleton } from './states'
import { RelativeTime } from './time'

const NAMED = 5

interface SessionsThatEndProps {
  /** Whose or where to. */
  of: { user_id?: string; target_id?: string }
  /** Only these among them. */
  only?: (session: Session) => boolean
  /** Not all of them need to end: they are only listed. */
  maybe?: boolean
}

/** The open sessions that an act is about to end, so that it is known before it is done. */
export function SessionsThatEnd({ of, only, maybe }: SessionsThatEndProps) {
  const query = useInfiniteQuery({ ...sessions.list({ ...of, status: 'active' }), staleTime: 0 })
  if (query.isPending) return <Skeleton className="mt-3 w-56" />
  // The act itself does not depend on this answer.
  if (query.isError) return <p className="mt-3">Which open sessions end could not be found out.</p>
  const all = query.data.pages.flatMap((page) => page.items)
  const ending = only ? all.filter(only) : all
  const more = query.hasNextPage ? '+' : ''
  if (ending.length === 0) return <p className="mt-3">No session is open that would end by this.</p>
  return (
    <div className="mt-3 rounded-lg border border-warning/40 bg-warning-soft px-3 py-2.5 text-warning-text">
      <p className="font-medium">
        {maybe
          ? `Open now: ${count(ending.length, 'session')}${more}`
          : ending.length === 1
            ? 'One open session ends at once:'
            : `${ending.length}${more} open sessions end at once:`}
      </p>
      <ul className="mt-1 text-xs">
        {ending.slice(0, NAMED).map((session) => (
          <li key={session.id} className="truncate">
            {session.user_name} on {session.target_name}, opened <RelativeTime time={session.start_time} />
          </li>
        ))}
        {ending.length > NAMED && <li>and {ending.length - NAMED}{more} more</li>}
      </ul>
    </div>
  )
}
