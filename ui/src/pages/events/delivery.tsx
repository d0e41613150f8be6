import type { DeliveryState } from '@/api/types'
import { Badge, type Tone } from '@/components/badge'

/** How far events get, as they are filtered by. */
export const STATES: { value: DeliveryState; label: string; tone: Tone }[] = [
  { value: 'pending', label: 'Pending', tone: 'info' },
  { value: 'succeeded', label: 'Delivered', tone: 'success' },
  { value: 'failed', label: 'Failed', tone: 'danger' },
]

/** How far something was delivered, in words. */
export const deliveryWord = (state: DeliveryState, unasked = false): string =>
  unasked ? 'No subscriber' : (STATES.find(({ value }) => value === state)?.label ?? state)

/** How far something was delivered. `unasked`: nobody was a subscriber. */
export function DeliveryBadge({ state, unasked = false }: { state: DeliveryState; unasked?: boolean }) {
  const known = unasked ? undefined : STATES.find(({ value }) => value === state)
  return (
    <Badge tone={known?.tone ?? 'neutral'} dot={!unasked}>
      {deliveryWord(state, unasked)}
    </Badge>
  )
}
