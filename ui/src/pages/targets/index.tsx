import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import type { ColumnDef } from '@tanstack/react-table'
import { Boxes } from 'lucide-react'
import { useMemo } from 'react'
import { targets, zones } from '@/api/hub'
import type { Target } from '@/api/types'
import { Badge, EnvironmentBadge } from '@/components/badge'
import { buttonClass } from '@/components/button'
import { nameColumn } from '@/components/columns'
import { ROW_LINK } from '@/components/data-table'
import { FilterChip } from '@/components/filters'
import { ListPage } from '@/components/list-page'
import { formatAddress } from '@/lib/format'
import { useChangeSearch } from '@/lib/use-list-search'
import type { TargetsSearch } from '@/router'
import { DeleteTarget } from './delete'
import { TargetForm } from './form'
import { TargetState } from './state'

const route = getRouteApi('/signed-in/frame/targets')
const TAGS_SHOWN = 2

/** The machines one can connect to. */
export function TargetsPage() {
  const { zone_id, tag } = route.useSearch()
  const change = useChangeSearch<TargetsSearch>()
  const zoneList = useQuery(zones.all())
  const columns = useMemo(() => columnsFor(new Map(zoneList.data?.map(({ id, name }) => [id, name]))), [zoneList.data])
  return (
    <ListPage
      title="Targets"
      noun="target"
      icon={Boxes}
      description="Machines that people connect to through the hub."
      about="A target needs a zone, a trusted host key, a credential and a group that may use it. The guided set-up leads through all of it."
      begin={
        <Link to="/setup" className={buttonClass({ variant: 'primary' })}>
          Set up the first one
        </Link>
      }
      list={(q) => targets.list({ q, zone_id, tag })}
      columns={columns}
      dim={isOff}
      filtered={Boolean(zone_id ?? tag)}
      filters={
        <>
          <FilterChip label="Zone" value={zone_id} options={(zoneList.data ?? []).map(({ id, name }) => ({ value: id, label: name }))} onChange={(next) => change({ zone_id: next })} />
          {tag && <FilterChip label="Tag" value={tag} options={[{ value: tag, label: tag }]} onChange={(next) => change({ tag: next })} />}
        </>
      }
      page="/targets/$id"
      form={(target, close, onCreated) => (
        <TargetForm target={target} zoneId={zone_id} onClose={close} onCreated={onCreated} />
      )}
      remove={(target, close) => <DeleteTarget target={target} onClose={close} />}
    />
  )
}

const isOff = (target: Target) => !target.enabled

const columnsFor = (zoneNames: Map<string, string>): ColumnDef<Target>[] => [
  nameColumn({
    under: (target) => <span className="font-mono text-2xs">{formatAddress(target.host, target.port)}</span>,
    cell: (target) => (
      <Link to="/targets/$id" params={{ id: target.id }} className={ROW_LINK}>
        {target.name}
      </Link>
    ),
  }),
  {
    id: 'environment',
    header: 'Environment',
    accessorFn: (target) => target.environment ?? undefined,
    sortUndefined: 'last',
    meta: { className: 'w-32', from: 'sm' },
    cell: ({ row }) => <EnvironmentBadge environment={row.original.environment} />,
  },
  {
    id: 'zone',
    header: 'Zone',
    accessorFn: (target) => zoneNames.get(target.zone_id) ?? '',
    meta: { from: 'md' },
    cell: ({ getValue }) => (
      <span className="text-data truncate" title={getValue<string>()}>
        {getValue<string>()}
      </span>
    ),
  },
  {
    id: 'tags',
    header: 'Tags',
    enableSorting: false,
    meta: { from: 'lg' },
    cell: ({ row: { original: { tags } } }) => (
      <div className="flex gap-1 overflow-hidden" title={tags.join(', ')}>
        {tags.slice(0, TAGS_SHOWN).map((tag) => (
          <Link key={tag} to="/targets" search={(before: object) => ({ ...before, tag })} className="relative z-10 min-w-0 rounded-md">
            <Badge tone="outline" className="hover:border-line-strong hover:text-fg">
              {tag}
            </Badge>
          </Link>
        ))}
        {tags.length > TAGS_SHOWN && <span className="text-xs text-faint">+{tags.length - TAGS_SHOWN}</span>}
      </div>
    ),
  },
  {
    id: 'state',
    header: 'State',
    enableSorting: false,
    meta: { className: 'w-32 sm:w-36' },
    cell: ({ row }) => <TargetState target={row.original} />,
  },
]
