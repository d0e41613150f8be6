import type { Recording } from '@/api/types'

/** The number from which segments are asked for anew: the last one that is known comes again, to see that it is the same. */
export const askFrom = (known: Recording | undefined): number => Math.max(0, (known?.segments.length ?? 0) - 1)

/**
 * A recording with all of its segments, of what was known and what came; `null` where the two do not fit, as when it was
 * closed with fewer segments than there were: then all of it has to be read again.
 */
export function withKnown(known: Recording | undefined, from: number, fresh: Recording): Recording | null {
  if (from === 0) return fresh
  const last = known?.segments[from]
  const again = fresh.segments[0]
  if (!known || !last || !again || again.seq !== last.seq || again.hash !== last.hash) return null
  const more = fresh.segments.slice(1)
  // What did not grow stays the same thing: nothing is drawn anew for it.
  const segments = more.length === 0 && known.segments.length === from + 1 ? known.segments : [...known.segments.slice(0, from), ...fresh.segments]
  return segments.length === fresh.segment_count ? { ...fresh, segments } : null
}
