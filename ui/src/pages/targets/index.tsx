import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import type { ColumnDef } from '@tanstack/react-table'
import { Boxes, Pencil, Plus, Trash2 } from 'lucide-react'
import { useCallback, useMemo, useState } from 'react'
import { useMe } from '@/api/hooks'
import { targets, zones } from '@/api/hub'
import type { Target } from '@/api/types'
import { Badge, EnvironmentBadge } from '@/components/badge'
import { Button, buttonClass } from '@/components/button'
import { DataTable } from '@/components/data-table'
import { FilterChip, SearchInput } from '@/components/filters'
import { MenuItem, MoreMenu } from '@/components/menu'
import { Page } from '@/components/page'
import { EmptyState } from '@/components/states'
import { may } from '@/lib/access'
import { formatAddress } from '@/lib/format'
import { useChangeSearch } from '@/lib/use-list-search'
import type { TargetsSearch } from '@/router'
import { DeleteTarget } from './delete'
import { TargetForm } from './form'

const route = getRouteApi('/signed-in/frame/targets')

/** The machines one can connect to. */
export function TargetsPage() {
  const me = useMe()
  const navigate = useNavigate()
  const search = route.useSearch()
  const change = useChangeSearch<TargetsSearch>()
  const setText = useCallback((q: string | undefined) => change({ q }), [change])
  const [editing, setEditing] = useState<Target | 'new' | null>(null)
  const [deleting, setDeleting] = useState<Target | null>(null)
  const query = useInfiniteQuery(targets.list({ ...search }))
  const zoneList = useQuery(zones.all())
  const admin = may(me, 'administer')
  const columns = useMemo<ColumnDef<Target>[]>(() => {
    const zoneName = new Map(zoneList.data?.map(({ id, name }) => [id, name]))
    return [
      {
        id: 'name', header: 'Name', accessorFn: (target) => target.name, enableHiding: false,
        cell: ({ row: { original: target } }) => (
          <div>
            <Link to="/targets/$id" params={{ id: target.id }} className="block truncate font-medium text-fg after:absolute after:inset-0">{target.name}</Link>
            <span className="block truncate font-mono text-2xs text-faint">{formatAddress(target.host, target.port)}</span>
          </div>
        ),
      },
      { id: 'environment', header: 'Environment', accessorFn: (target) => target.environment ?? '', meta: { className: 'w-32', from: 'sm' }, cell: ({ row }) => <EnvironmentBadge environment={row.original.environment} /> },
      { id: 'zone', header: 'Zone', accessorFn: (target) => zoneName.get(target.zone_id) ?? '', meta: { from: 'md' }, cell: ({ getValue }) => <span className="truncate">{getValue<string>()}</span> },
      {
        id: 'tags', header: 'Tags', enableSorting: false, meta: { from: 'lg' },
        cell: ({ row }) => <div className="flex gap-1 overflow-hidden">{row.original.tags.slice(0, 3).map((tag) => <Badge key={tag} tone="outline">{tag}</Badge>)}</div>,
      },
      {
        id: 'state', header: 'State', enableSorting: false, meta: { className: 'w-36' },
        cell: ({ row: { original: target } }) =>
          !target.enabled ? <Badge dot>Switched off</Badge>
            : target.host_keys.length === 0 ? <Badge tone="warning" dot>No host key</Badge>
            : target.credential_ids.length === 0 ? <Badge tone="warning" dot>No credential</Badge>
            : <Badge tone="success" dot>Ready</Badge>,
      },
      {
        id: 'actions', header: '', enableHiding: false, enableSorting: false, meta: { className: 'w-12' },
        cell: ({ row: { original: target } }) => admin && (
          <MoreMenu label={`Acts for ${target.name}`}>
            <MenuItem icon={Pencil} onSelect={() => setEditing(target)}>Edit…</MenuItem>
            <MenuItem icon={Trash2} danger onSelect={() => setDeleting(target)}>Delete…</MenuItem>
          </MoreMenu>
        ),
      },
    ]
  }, [admin, zoneList.data])
  const filtered = search.q ?? search.zone_id ?? search.tag
  return (
    <Page title="Targets" description="Machines that people connect to through the hub."
      actions={admin && <Button variant="primary" icon={Plus} onClick={() => setEditing('new')}>New target</Button>}>
      <DataTable name="targets" label="Targets" query={query} columns={columns} rowId={(target) => target.id} sort={[{ id: 'name', desc: false }]} dim={(target) => !target.enabled}
        toolbar={
          <>
            <SearchInput value={search.q} onChange={setText} placeholder="Find a target…" />
            <FilterChip label="Zone" value={search.zone_id} options={(zoneList.data ?? []).map(({ id, name }) => ({ value: id, label: name }))} onChange={(zone_id) => change({ zone_id })} />
            {search.tag && <FilterChip label="Tag" value={search.tag} options={[{ value: search.tag, label: search.tag }]} onChange={(tag) => change({ tag })} />}
          </>
        }
        empty={
          <EmptyState icon={Boxes} title={filtered ? 'No target matches' : 'No targets yet'}
            action={admin && !filtered && <Link to="/setup" className={buttonClass({ variant: 'primary' })}>Set up the first one</Link>}>
            {filtered ? 'Try another word, or take a filter away.' : 'A target needs a zone, a trusted host key, a credential and a group that may use it.'}
          </EmptyState>
        } />
      {editing && <TargetForm target={editing === 'new' ? null : editing} zoneId={search.zone_id} onClose={() => setEditing(null)}
        onSaved={(saved) => editing === 'new' && void navigate({ to: '/targets/$id', params: { id: saved.id }, ignoreBlocker: true })} />}
      {deleting && <DeleteTarget target={deleting} onClose={() => setDeleting(null)} />}
    </Page>
  )
}
