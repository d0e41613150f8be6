import { CircleAlert, ServerOff } from 'lucide-react'
import { useEffect, useRef, type ReactNode } from 'react'
import { useReadiness } from '@/api/hooks'
import { cn } from '@/lib/cn'
import { queryClient } from '@/lib/query-client'

/** What the readiness document says about one part, whichever shape that part reports in. */
function partIsDown(document: unknown, part: string): boolean {
  if (typeof document !== 'object' || document === null) return false
  const holder = document as Record<string, unknown>
  const checks = typeof holder.checks === 'object' && holder.checks !== null ? (holder.checks as Record<string, unknown>) : holder
  const value = checks[part]
  if (typeof value === 'boolean') return !value
  if (typeof value === 'string') return !['ok', 'ready', 'up', 'disabled'].includes(value)
  if (typeof value === 'object' && value !== null) return (value as { ok?: unknown }).ok === false
  return false
}

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
  if (partIsDown(readiness.data, 'vault')) {
    return (
      <Banner tone="warning" icon={CircleAlert}>
        <strong>The vault is sealed or unreachable.</strong> New connections and credential tests fail until an operator
        brings it back; open sessions go on.
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
