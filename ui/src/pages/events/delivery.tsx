import type { DeliveryState } from '@/api/types'
import { Badge, type Tone } from '@/components/badge'

/** How far events get, as they are filtered by. */
export const STATES: { value: DeliveryState; label: string; tone: Tone }[] = [
  { value: 'pending', label: 'Pending', tone: 'info' },
  { value: 'succeeded', label: 'Delivered', tone: 'success' },
  { value: 'failed', label: 'Failed', tone: 'danger' },
]

/** How far something was delivered. */
export function DeliveryBadge({ state }: { state: DeliveryState }) {
  const known = STATES.find(({ value }) => value === state)
  return (
    <Badge tone={known?.tone ?? 'neutral'} dot>
      {known?.label ?? state}
    </Badge>
  )
}
