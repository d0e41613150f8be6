import { formatDay, formatDuration, formatExact, formatRelative, formatSeconds } from '@/lib/format'
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

/** Date and time as they are, for what is read as evidence; how long ago on hover. */
export function Moment({ time }: { time: string }) {
  const now = useNow()
  return (
    <Tip label={`${formatRelative(time, now)} · ${formatExact(time)}`}>
      <time dateTime={time} className="relative z-10 flex flex-col leading-tight whitespace-nowrap tabular-nums">
        <span>{formatDay(time)}</span>
        <span className="text-xs text-muted">{formatSeconds(time)}</span>
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
