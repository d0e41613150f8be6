import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import type { ColumnDef } from '@tanstack/react-table'
import { Download, ScrollText } from 'lucide-react'
import { useCallback, useMemo, useState } from 'react'
import { useMe } from '@/api/hooks'
import { ledger, targets, users } from '@/api/hub'
import type { LedgerEntry } from '@/api/types'
import { Button } from '@/components/button'
import { DataTable, ROW_LINK } from '@/components/data-table'
import { FilterChip, SearchInput } from '@/components/filters'
import { Menu, MenuItem } from '@/components/menu'
import { NamedCell } from '@/components/named-cell'
import { Page } from '@/components/page'
import { EmptyState } from '@/components/states'
import { Moment } from '@/components/time'
import { may } from '@/lib/access'
import { personName } from '@/lib/format'
import { PERIOD_OPTIONS, periodStart, useChangeSearch } from '@/lib/use-list-search'
import { actionName, actorName, sentence } from '@/lib/words'
import type { LedgerSearch } from '@/router'
import { ChainBadge } from './ledger-chain'
import { EntryPanel, OutcomeBadge, OUTCOMES } from './ledger-entry'

const route = getRouteApi('/signed-in/frame/ledger')

/** What was done, by whom, with what outcome; nothing here can be changed. */
export function LedgerPage() {
  const search = route.useSearch()
  const change = useChangeSearch<LedgerSearch>()
  const setText = useCallback((q: string | undefined) => change({ q }), [change])
  const [shown, setShown] = useState<LedgerEntry | null>(null)
  const { since, ...filters } = search
  const from = useMemo(() => periodStart(since), [since])
  const query = useInfiniteQuery(ledger.list({ ...filters, from }))
  const columns = useMemo(() => columnsFor(setShown), [])
  const choices = useChoices(search, query.data?.pages[0]?.items[0])
  return (
    <Page
      title="Ledger"
      badge={<ChainBadge />}
      description="Everything that was done or refused, in order. Entries cannot be changed or removed."
      actions={<ExportMenu filters={{ ...filters, from }} />}
    >
      <DataTable
        name="ledger"
        label="Ledger entries"
        query={query}
        columns={columns}
        rowId={(entry) => entry.id}
        toolbar={
          <>
            <SearchInput value={search.q} onChange={setText} placeholder="Search entries…" />
            <FilterChip label="Outcome" value={search.outcome} options={OUTCOMES} onChange={(outcome) => change({ outcome })} />
            <FilterChip label="Period" value={since} options={[...PERIOD_OPTIONS]} onChange={(next) => change({ since: next })} />
            <FilterChip label="Action" value={search.action} options={choices.actions} onChange={(action) => change({ action })} />
            <FilterChip label="By" value={search.actor_id} options={choices.people} onChange={(actor_id) => change({ actor_id })} />
            <FilterChip label="About" value={search.object_id} options={choices.things} onChange={(object_id) => change({ object_id })} />
          </>
        }
        empty={
          <EmptyState icon={ScrollText} title="No entry matches">
            Take a filter away or choose a longer period.
          </EmptyState>
        }
      />
      {shown && <EntryPanel entry={shown} onClose={() => setShown(null)} onFilter={(next) => (setShown(null), change(next))} />}
    </Page>
  )
}

/** The entries that the filters leave, as a file. */
function ExportMenu({ filters }: { filters: Parameters<typeof ledger.exportUrl>[1] }) {
  return (
    <Menu trigger={<Button icon={Download}>Export</Button>} label="Export as">
      <MenuItem asChild>
        <a href={ledger.exportUrl('jsonl', filters)} download="openpam-ledger.jsonl">JSON lines</a>
      </MenuItem>
      <MenuItem asChild>
        <a href={ledger.exportUrl('csv', filters)} download="openpam-ledger.csv">CSV</a>
      </MenuItem>
    </Menu>
  )
}

/** What the filters offer: people and targets that there are, and the acts that the ledger told of last. */
function useChoices(search: LedgerSearch, first: LedgerEntry | undefined) {
  const me = useMe()
  const recent = useInfiniteQuery(ledger.list({}))
  const people = useQuery({ ...users.all(), enabled: may(me, 'see-people') })
  const machines = useQuery({ ...targets.all(), enabled: may(me, 'see-infrastructure') })
  const actions = new Set(recent.data?.pages.flatMap((page) => page.items.map(({ action }) => action)))
  if (search.action) actions.add(search.action)
  return {
    actions: [...actions].map((action) => ({ value: action, label: actionName(action) })).toSorted((a, b) => a.label.localeCompare(b.label)),
    people: withChosen((people.data ?? []).map((user) => ({ value: user.id, label: personName(user) })), search.actor_id, first?.actor.name ?? 'one actor'),
    things: withChosen((machines.data ?? []).map(({ id, name }) => ({ value: id, label: name })), search.object_id, first?.object?.name ?? 'one thing'),
  }
}

/** What a link chose can be something else than what is offered. */
const withChosen = (options: { value: string; label: string }[], chosen: string | undefined, label: string) =>
  chosen === undefined || options.some(({ value }) => value === chosen) ? options : [{ value: chosen, label }, ...options]

const columnsFor = (show: (entry: LedgerEntry) => void): ColumnDef<LedgerEntry>[] => [
  {
    id: 'action',
    header: 'Action',
    accessorFn: (entry) => entry.action,
    enableHiding: false,
    enableSorting: false,
    cell: ({ row: { original: entry } }) => (
      <NamedCell
        under={
          <span className="sm:hidden">
            {entry.outcome !== 'success' && <span className="text-danger-text">{OUTCOMES.find(({ value }) => value === entry.outcome)?.label ?? entry.outcome} · </span>}
            {actorName(entry.actor)}
          </span>
        }
      >
        <button
          type="button"
          onClick={() => show(entry)}
          className={ROW_LINK}
        >
          {actionName(entry.action, entry.outcome)}
        </button>
      </NamedCell>
    ),
  },
  {
    id: 'outcome',
    header: 'Outcome',
    enableSorting: false,
    meta: { className: 'w-28', from: 'sm' },
    cell: ({ row }) => <OutcomeBadge outcome={row.original.outcome} />,
  },
  {
    id: 'actor',
    header: 'By',
    enableSorting: false,
    meta: { from: 'sm' },
    cell: ({ row }) => <span className="truncate">{actorName(row.original.actor)}</span>,
  },
  {
    id: 'object',
    header: 'About',
    enableSorting: false,
    meta: { from: 'md' },
    cell: ({ row: { original: { object } } }) =>
      object ? (
        <span className="truncate">
          <span className="text-faint">{sentence(object.type)}</span> {object.name ?? object.id?.slice(-8)}
        </span>
      ) : (
        <span className="text-faint">–</span>
      ),
  },
  {
    id: 'address',
    header: 'From',
    enableSorting: false,
    meta: { from: 'lg', className: 'w-36' },
    cell: ({ row }) => <code className="truncate font-mono text-xs text-muted">{row.original.client_ip ?? '–'}</code>,
  },
  {
    id: 'time',
    header: 'When',
    enableSorting: false,
    meta: { className: 'w-26 sm:w-32' },
    cell: ({ row }) => <Moment time={row.original.occurred_at} />,
  },
]
