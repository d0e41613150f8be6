import { CircleAlert, ServerOff } from 'lucide-react'
import { useEffect, useRef, type ReactNode } from 'react'
import { useReadiness } from '@/api/hooks'
import { cn } from '@/lib/cn'
import { queryClient } from '@/lib/query-client'

/** Lines across the page for what concerns everybody: the hub or one of its parts is away. */
export function Banners() {
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
