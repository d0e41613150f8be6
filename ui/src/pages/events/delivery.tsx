import type { DeliveryState } from '@/api/types'
import { Badge, type Tone } from '@/components/badge'

/** How far events get, as they are filtered by. */
export const STATES: { value: DeliveryState; label: string; tone: Tone }[] = [
  { value: 'pending', label: 'Pending', tone: 'info' },
  { value: 'succeeded', label: 'Delivered', tone: 'success' },
  { value: 'failed', label: 'Failed', tone: 'danger' },
]

/** How far something was delivered. `unasked`: nobody was a subscriber. */
export function DeliveryBadge({ state, unasked = false }: { state: DeliveryState; unasked?: boolean }) {
  if (unasked) return <Badge tone="neutral">No subscriber</Badge>
  const known = STATES.find(({ value }) => value === state)
  return (
    <Badge tone={known?.tone ?? 'neutral'} dot>
      {known?.label ?? state}
    </Badge>
  )
}
