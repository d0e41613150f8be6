import { useInfiniteQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { SquareTerminal } from 'lucide-react'
import { useMe } from '@/api/hooks'
import { sessions } from '@/api/hub'
import { LINK } from '@/components/page'
import { count } from '@/lib/format'

/** Says that own sessions are open, and leads to them. */
export function OpenSessionsHint() {
  const me = useMe()
  const query = useInfiniteQuery(sessions.list({ status: 'active', user_id: me.user.id }))
  const open = query.data?.pages.flatMap((page) => page.items).filter((session) => session.user_id === me.user.id) ?? []
  if (open.length === 0) return null
  const names = [...new Set(open.map((session) => session.target_name))]
  return (
    <p role="status" className="mb-4 flex items-center gap-2 text-sm text-muted">
      <SquareTerminal aria-hidden className="size-4 shrink-0" strokeWidth={1.75} />
      <span className="min-w-0 truncate">
        {count(open.length, 'session')} of yours {open.length === 1 ? 'is' : 'are'} open, on {names.slice(0, 3).join(', ')}
        {names.length > 3 && ` and ${names.length - 3} more`}.
      </span>
      <Link to="/terminal" className={LINK}>
        Go to the terminal
      </Link>
    </p>
  )
}
