import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import type { ColumnDef } from '@tanstack/react-table'
import { RadioTower } from 'lucide-react'
import { useMemo, useState } from 'react'
import { useMe } from '@/api/hooks'
import { events, eventTypes } from '@/api/hub'
import type { PlatformEvent } from '@/api/types'
import { DataTable, ROW_LINK } from '@/components/data-table'
import { FilterChip } from '@/components/filters'
import { NamedCell } from '@/components/named-cell'
import { Page, Tabs } from '@/components/page'
import { EmptyState } from '@/components/states'
import { Moment } from '@/components/time'
import { mayManageEvents } from '@/lib/access'
import { useAttended } from '@/lib/attention'
import { PERIOD_OPTIONS, periodStart, useChangeSearch } from '@/lib/use-list-search'
import type { EventsSearch } from '@/router'
import { DeliveryBadge, deliveryWord, STATES } from './delivery'
import { EventPanel } from './event'
import { Webhooks } from './webhooks'

const route = getRouteApi('/signed-in/frame/events')

/** What others are told, how it got there, and who gets it. */
export function EventsPage() {
  const { view = 'events' } = route.useSearch()
  const change = useChangeSearch<EventsSearch>()
  const manages = mayManageEvents(useMe())
  return (
    <Page
      title="Events"
      description="What other systems are told. Each is delivered at least once to every subscriber that asked for it."
      actions={
        manages && (
          <Tabs
            label="Events or webhooks"
            value={view}
            onChange={(next) => change({ view: next === 'events' ? undefined : next })}
            tabs={[
              { value: 'events', label: 'Events' },
              { value: 'webhooks', label: 'Webhooks' },
            ]}
          />
        )
      }
    >
      {view === 'webhooks' && manages ? <Webhooks /> : <EventList />}
    </Page>
  )
}

const isUnasked = (event: PlatformEvent) => event.delivery_state === 'succeeded' && event.delivery_attempts === 0

const isOnItsWay = (event: PlatformEvent) => event.delivery_state === 'pending'

function EventList() {
  const search = route.useSearch()
  const change = useChangeSearch<EventsSearch>()
  const [shown, setShown] = useState<string | null>(null)
  const { since, view: _view, ...filters } = search
  const from = useMemo(() => periodStart(since), [since])
  const attended = useAttended()
  const query = useInfiniteQuery({
    ...events.list({ ...filters, from }),
    // New ones are told as they happen; how those fare that are on their way is not.
    refetchInterval: ({ state }) => attended && state.data?.pages.some(({ items }) => items.some(isOnItsWay)) && 10_000,
  })
  const types = useQuery(eventTypes)
  const columns = useMemo(() => columnsFor(setShown), [])
  const narrowed = Object.values(search).some((value) => value !== undefined)
  const seen = (field: 'event_type' | 'source', known: string[] = []) => {
    const values = new Set([...known, ...(query.data?.pages.flatMap((page) => page.items.map((event) => event[field])) ?? [])])
    const chosen = search[field]
    if (chosen) values.add(chosen)
    return [...values].toSorted().map((value) => ({ value, label: value }))
  }
  return (
    <>
      <DataTable
        name="events"
        label="Events"
        query={query}
        columns={columns}
        rowId={(event) => event.event_id}
        toolbar={
          <>
            <FilterChip label="Type" value={search.event_type} options={seen('event_type', types.data?.items.map(({ event_type }) => event_type))} onChange={(event_type) => change({ event_type })} />
            <FilterChip label="Source" value={search.source} options={seen('source')} onChange={(source) => change({ source })} />
            <FilterChip label="Delivery" value={search.delivery_state} options={STATES} onChange={(delivery_state) => change({ delivery_state })} />
            <FilterChip label="Period" value={since} options={[...PERIOD_OPTIONS]} onChange={(next) => change({ since: next })} />
          </>
        }
        empty={
          narrowed ? (
            <EmptyState icon={RadioTower} title="No event matches">
              Take a filter away or choose a longer period.
            </EmptyState>
          ) : (
            <EmptyState icon={RadioTower} title="No events yet">
              The hub tells of sessions and people here, and programs can add what they want to tell.
            </EmptyState>
          )
        }
      />
      {shown && <EventPanel id={shown} onClose={() => setShown(null)} />}
    </>
  )
}

const columnsFor = (show: (id: string) => void): ColumnDef<PlatformEvent>[] => [
  {
    id: 'type',
    header: 'Type',
    enableHiding: false,
    enableSorting: false,
    cell: ({ row: { original: event } }) => (
      <NamedCell under={<span className="sm:hidden">{deliveryWord(event.delivery_state, isUnasked(event))}</span>}>
        <button type="button" onClick={() => show(event.event_id)} className={ROW_LINK}>
          {event.event_type}
        </button>
      </NamedCell>
    ),
  },
  {
    id: 'state',
    header: 'Delivery',
    enableSorting: false,
    meta: { from: 'sm', className: 'w-32' },
    cell: ({ row: { original: event } }) => (
      <DeliveryBadge state={event.delivery_state} unasked={isUnasked(event)} />
    ),
  },
  {
    id: 'source',
    header: 'Source',
    enableSorting: false,
    meta: { from: 'sm', className: 'w-44' },
    cell: ({ row }) => <span className="truncate">{row.original.source}</span>,
  },
  {
    id: 'subject',
    header: 'About',
    enableSorting: false,
    meta: { from: 'lg' },
    cell: ({ row }) => <code className="truncate font-mono text-xs text-muted">{row.original.subject ?? '–'}</code>,
  },
  {
    id: 'attempts',
    header: 'Attempts',
    enableSorting: false,
    meta: { from: 'md', className: 'w-24' },
    cell: ({ row }) => <span className="tabular-nums">{row.original.delivery_attempts}</span>,
  },
  {
    id: 'time',
    header: 'When',
    enableSorting: false,
    meta: { className: 'w-28 sm:w-32' },
    cell: ({ row }) => <Moment time={row.original.occurred_at} />,
  },
]
