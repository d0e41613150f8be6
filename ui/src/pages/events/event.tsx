import { useQuery } from '@tanstack/react-query'
import { RotateCcw } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { useMe } from '@/api/hooks'
import { events, webhooks } from '@/api/hub'
import type { EventDelivery, EventDetail } from '@/api/types'
import { Button } from '@/components/button'
import { ConfirmDialog } from '@/components/confirm'
import { CopyText, CopyValue } from '@/components/copy'
import { Dialog, DialogBody, DialogFooter } from '@/components/dialog'
import { Fact, Facts } from '@/components/page'
import { InlineProblem, Skeleton } from '@/components/states'
import { RelativeTime } from '@/components/time'
import { mayManageEvents } from '@/lib/access'
import { useAttended } from '@/lib/attention'
import { formatExact } from '@/lib/format'
import { DeliveryBadge } from './delivery'

/** All of one event: what it tells, and how each subscriber got it. */
export function EventPanel({ id, onClose }: { id: string; onClose: () => void }) {
  const attended = useAttended()
  const query = useQuery({
    ...events.one(id),
    refetchInterval: ({ state }) => attended && state.data?.delivery_state === 'pending' && 2_000,
  })
  const event = query.data
  return (
    <Dialog open as="panel" onClose={onClose} title={event?.event_type ?? 'Event'} description={event && formatExact(event.occurred_at)}>
      {query.isPending && <DialogBody><Skeleton className="h-40" /></DialogBody>}
      {query.isError && <DialogBody><InlineProblem error={query.error} /></DialogBody>}
      {event && <Content event={event} />}
    </Dialog>
  )
}

function Content({ event }: { event: EventDetail }) {
  const manages = mayManageEvents(useMe())
  const [everywhere, setEverywhere] = useState(false)
  const again = async (all: boolean) => {
    await events.replay(event.event_id, all)
    toast.success('The event is delivered again')
  }
  return (
    <>
      <DialogBody>
        <Facts>
          <Fact label="Delivery"><DeliveryBadge state={event.delivery_state} unasked={event.delivery_state === 'succeeded' && event.deliveries.length === 0} /></Fact>
          <Fact label="Source">{event.source}</Fact>
          <Fact label="About">{event.subject && <CopyValue value={event.subject} />}</Fact>
          <Fact label="By">{actor(event.context)}</Fact>
          <Fact label="Correlation">{event.correlation_id && <CopyValue value={event.correlation_id} />}</Fact>
          <Fact label="Event"><CopyValue value={event.event_id} /></Fact>
          <Fact label="Last problem">{event.last_error}</Fact>
        </Facts>
        <Heading>What it tells</Heading>
        <pre data-scrollable className="max-h-72 overflow-auto rounded-lg border bg-sunken p-3 font-mono text-xs">{JSON.stringify(event.payload, null, 2)}</pre>
        <Heading>Who got it</Heading>
        <Deliveries deliveries={event.deliveries} />
      </DialogBody>
      <DialogFooter>
        <CopyText text={JSON.stringify(event, null, 2)} label="Copy as JSON" />
        {manages && event.delivery_state === 'failed' && (
          <Button icon={RotateCcw} onClick={() => void again(false).catch((error: Error) => toast.error(error.message))}>Retry failed</Button>
        )}
        {manages && <Button icon={RotateCcw} onClick={() => setEverywhere(true)}>Deliver again…</Button>}
      </DialogFooter>
      {everywhere && (
        <ConfirmDialog onClose={() => setEverywhere(false)} title="Deliver this event again?" action="Deliver again" tone="primary" onConfirm={() => again(true)}>
          Every subscriber that wants this type now gets it once more, under the same id.
        </ConfirmDialog>
      )}
    </>
  )
}

const BUSES: Record<string, string> = { nats: 'NATS', sns: 'Amazon SNS' }

function Deliveries({ deliveries }: { deliveries: EventDelivery[] }) {
  const manages = mayManageEvents(useMe())
  const names = useQuery({ ...webhooks.all(), enabled: manages })
  const nameOf = ({ webhook_id, subscriber }: EventDelivery) =>
    names.data?.find(({ id }) => id === webhook_id)?.name ?? (webhook_id ? `Webhook ${webhook_id.slice(-8)}` : (BUSES[subscriber] ?? subscriber))
  if (deliveries.length === 0) return <p className="text-sm text-faint">Nobody asked for events of this type.</p>
  return (
    <ul className="divide-y divide-line rounded-lg border">
      {deliveries.map((delivery) => (
        <li key={delivery.id} className="flex flex-wrap items-center gap-x-3 gap-y-1 px-3 py-2 text-sm">
          <span className="text-data min-w-0 flex-1 truncate font-medium">{nameOf(delivery)}</span>
          <DeliveryBadge state={delivery.state} />
          <p className="w-full text-xs text-faint">
            {delivery.attempts} {delivery.attempts === 1 ? 'attempt' : 'attempts'}
            {delivery.last_attempt_at && <>, the last <RelativeTime time={delivery.last_attempt_at} /></>}
            {delivery.last_error && `: ${delivery.last_error}`}
          </p>
        </li>
      ))}
    </ul>
  )
}

const Heading = ({ children }: { children: string }) => <h3 className="mt-6 mb-2 text-sm font-semibold text-fg">{children}</h3>

function actor(context: Record<string, unknown>): string | null {
  const { name, type } = (context.actor ?? {}) as { name?: string; type?: string }
  return type === 'system' ? 'The hub' : (name ?? null)
}
