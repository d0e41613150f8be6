/** The time of a recording: where one is, how much happened when, its markers, commands and what was found. */
import { Slider } from 'radix-ui'
import { useMemo, useState } from 'react'
import { cn } from '@/lib/cn'
import { formatPosition, type Marker } from './format'

/** How much was stored from one time to another. */
export interface Activity {
  from: number
  until: number
  bytes: number
}

const BARS = 120

interface TimelineProps {
  duration: number
  time: number
  markers: readonly Marker[]
  commands: readonly Marker[]
  hits: readonly Marker[]
  activity: Activity[]
  onSeek: (seconds: number) => void
}

export function Timeline({ duration, time, markers, commands, hits, activity, onSeek }: TimelineProps) {
  // While the thumb is dragged only it moves: what lies between is not loaded.
  const [dragged, setDragged] = useState<number | null>(null)
  const shown = Math.min(dragged ?? time, duration)
  const bars = useMemo(() => heights(activity, duration), [activity, duration])
  return (
    <div className="relative">
      {activity.length > 2 && (
        <svg aria-hidden viewBox={`0 0 ${BARS} 20`} preserveAspectRatio="none" className="block h-5 w-full text-line-strong">
          {bars.map((height, index) => (
            // oxlint-disable-next-line react/no-array-index-key -- a bar is its place
            <rect key={index} x={index + 0.1} width={0.8} y={20 - height * 20} height={height * 20} fill="currentColor" />
          ))}
        </svg>
      )}
      <Slider.Root
        className="relative flex h-4 touch-none items-center select-none"
        min={0}
        max={Math.max(duration, 0.001)}
        step={0.01}
        value={[shown]}
        onValueChange={([value]) => setDragged(value ?? null)}
        onValueCommit={([value]) => {
          setDragged(null)
          if (value !== undefined) onSeek(value)
        }}
      >
        <Slider.Track className="relative h-1 flex-1 cursor-pointer rounded-full bg-pressed">
          <Slider.Range className="absolute h-full rounded-full bg-accent" />
        </Slider.Track>
        <Slider.Thumb
          aria-label="Position"
          aria-valuetext={`${formatPosition(shown)} of ${formatPosition(duration)}`}
          className="block size-3 cursor-pointer rounded-full bg-accent ring-2 ring-surface"
        />
      </Slider.Root>
      {duration > 0 && (
        <>
          <Ticks places={commands} duration={duration} className="bottom-0 h-1 bg-accent" />
          <Ticks places={hits} duration={duration} className="bottom-0 h-4 bg-warning" />
        </>
      )}
      {duration > 0 &&
        markers.map(([at, label]) => (
          <button
            key={at}
            type="button"
            title={`${formatPosition(at)} ${label}`}
            aria-label={`Marker at ${formatPosition(at)}: ${label}`}
            onClick={() => onSeek(at)}
            className="absolute top-0 h-5 w-1 -translate-x-1/2 cursor-pointer rounded-full bg-warning"
            style={{ left: `${(at / duration) * 100}%` }}
          />
        ))}
    </div>
  )
}

/** Places that the list beside tells of: to be seen, and not one by one in the way of the keyboard. */
function Ticks({ places, duration, className }: { places: readonly Marker[]; duration: number; className: string }) {
  // What would lie on one another is one.
  const shown = useMemo(() => [...new Set(places.map(([at]) => Math.round((Math.min(at, duration) / duration) * 1000)))], [places, duration])
  return (
    <span aria-hidden className="pointer-events-none absolute inset-0 opacity-80">
      {shown.map((place) => (
        <span key={place} className={cn('absolute w-0.5 -translate-x-1/2 rounded-full forced-colors:bg-[Highlight]', className)} style={{ left: `${place / 10}%` }} />
      ))}
    </span>
  )
}

/** For each bar how much happened there, from 0 to 1; logarithmic, so that a word beside a flood is seen. */
function heights(activity: Activity[], duration: number): number[] {
  const bytes = Array.from({ length: BARS }, () => 0)
  if (duration <= 0) return bytes
  for (const { from, until, bytes: amount } of activity) {
    const first = Math.min(BARS - 1, Math.floor((from / duration) * BARS))
    const last = Math.min(BARS - 1, Math.max(first, Math.ceil((until / duration) * BARS) - 1))
    for (let bar = first; bar <= last; bar += 1) bytes[bar] = (bytes[bar] ?? 0) + amount / (last - first + 1)
  }
  const most = Math.log1p(Math.max(...bytes))
  return bytes.map((amount) => (most > 0 ? Math.log1p(amount) / most : 0))
}
