import { Lock } from 'lucide-react'
import type { User } from '@/api/types'
import { Badge, EnabledBadge } from '@/components/badge'
import { Tip } from '@/components/tip'
import { formatClock, formatExact } from '@/lib/format'
import { useNow } from '@/lib/use-now'

/** Whether failed sign-ins keep the account from being tried again; that ends by itself. */
export const isLocked = ({ locked_until }: Pick<User, 'locked_until'>, now: number): boolean => locked_until !== null && Date.parse(locked_until) > now

/** Whether someone may sign in, and until when failed sign-ins keep them from it. */
export function UserState({ user }: { user: User }) {
  const now = useNow()
  const locked = user.locked_until !== null && isLocked(user, now) ? user.locked_until : null
  return (
    <span className="flex min-w-0 flex-wrap gap-1">
      {(!locked || !user.enabled) && <EnabledBadge enabled={user.enabled} />}
      {locked && (
        <Tip label={`Too many failed sign-ins. Ends by itself: ${formatExact(locked)}`}>
          <span className="relative z-10 inline-flex min-w-0">
            <Badge tone="warning" icon={Lock}>
              Locked until {formatClock(locked, now)}
            </Badge>
          </span>
        </Tip>
      )}
    </span>
  )
}
