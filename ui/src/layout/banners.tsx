import { useQuery } from '@tanstack/react-query'
import { Link, useLocation } from '@tanstack/react-router'
import { CircleAlert, Clock, ServerOff } from 'lucide-react'
import { useEffect, useRef, type ReactNode } from 'react'
import { meQuery, useReadiness } from '@/api/hooks'
import { cn } from '@/lib/cn'
import { formatDuration } from '@/lib/format'
import { lastAnswerAt, queryClient } from '@/lib/query-client'
import { isNear, signInEnd } from '@/lib/sign-in-end'
import { useNow } from '@/lib/use-now'

/** Lines across the page for what concerns all of it: a part of the hub is away, or the sign-in ends soon. */
export const Banners = () => (
  <>
    <HubBanner />
    <SignInBanner />
  </>
)

/** After the end that was computed here, the hub is asked: by then the clocks and its rounding cannot matter. */
const ASK_AFTER_MS = 90_000

function SignInBanner() {
  const now = useNow()
  const href = useLocation({ select: (location) => location.href })
  const { data: me, dataUpdatedAt, refetch } = useQuery(meQuery)
  const end = me && signInEnd(me.auth_session, dataUpdatedAt, lastAnswerAt())
  const over = end !== undefined && now - end.at > ASK_AFTER_MS
  useEffect(() => {
    if (over) void refetch()
  }, [over, refetch])
  if (!end || !isNear(end, now)) return null
  const left = formatDuration(Math.max(60, Math.round((end.at - now) / 60_000) * 60))
  if (end.why === 'idle') {
    return (
      <Banner tone="warning" icon={Clock}>
        <strong>You will be signed out in {left}</strong> because nothing happens here.{' '}
        <button type="button" onClick={() => void refetch()} className={ACT}>
          Stay signed in
        </button>
      </Banner>
    )
  }
  return (
    <Banner tone="warning" icon={Clock}>
      <strong>Your sign-in ends in {left}</strong>, and open terminals with it.{' '}
      <Link to="/login" search={{ return_to: href }} className={ACT}>
        Sign in again
      </Link>
    </Banner>
  )
}

const ACT = 'rounded font-medium underline underline-offset-2 hover:no-underline'

function HubBanner() {
  const readiness = useReadiness()
  const wasAway = useRef(false)
  const away = readiness.isError
  useEffect(() => {
    // What failed meanwhile is read again once the hub is back.
    if (wasAway.current && !away) void queryClient.invalidateQueries({ type: 'active' })
    wasAway.current = away
  }, [away])

  if (away) {
    return (
      <Banner tone="danger" icon={ServerOff}>
        <strong>The hub cannot be reached.</strong> Trying again every few seconds; nothing you see is being refreshed.
      </Banner>
    )
  }
  const { database, vault } = readiness.data ?? {}
  if (database && !database.ok) {
    return (
      <Banner tone="danger" icon={ServerOff}>
        <strong>The hub has lost its database.</strong> Nothing can be opened or changed until it is back.
      </Banner>
    )
  }
  if (vault && !vault.ok) {
    return (
      <Banner tone="warning" icon={CircleAlert}>
        <strong>{vault.state === 'sealed' ? 'The vault is sealed.' : 'The vault cannot be used.'}</strong> New connections and
        credential tests fail until an operator brings it back; open sessions go on.
      </Banner>
    )
  }
  return null
}

function Banner({ tone, icon: Icon, children }: { tone: 'danger' | 'warning'; icon: typeof CircleAlert; children: ReactNode }) {
  return (
    <div
      role="status"
      className={cn(
        'flex shrink-0 items-start gap-2 border-b px-4 py-2 text-sm sm:items-center sm:justify-center',
        tone === 'danger' ? 'bg-danger-soft text-danger-text' : 'bg-warning-soft text-warning-text',
      )}
    >
      <Icon aria-hidden className="mt-0.5 size-4 shrink-0 sm:mt-0" />
      <p className="[&_strong]:font-medium">{children}</p>
    </div>
  )
}
