import { formatDuration, formatExact, formatRelative } from '@/lib/format'
import { useNow } from '@/lib/use-now'
import { Tip } from './tip'

/** How long ago, with the exact time on hover. */
export function RelativeTime({ time, none = '–' }: { time: string | null | undefined; none?: string }) {
  const now = useNow()
  if (!time) return <span className="text-faint">{none}</span>
  return (
    <Tip label={formatExact(time)}>
      <time dateTime={time} className="relative z-10 whitespace-nowrap">
        {formatRelative(time, now)}
      </time>
    </Tip>
  )
}

/** How long something took, or takes until now. */
export function Elapsed({ from, to }: { from: string; to: string | null }) {
  const now = useNow()
  const end = to ? Date.parse(to) : Math.max(now, Date.parse(from))
  return <span className="whitespace-nowrap tabular-nums">{formatDuration((end - Date.parse(from)) / 1000)}</span>
}
