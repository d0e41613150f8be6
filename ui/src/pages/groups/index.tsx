import { useInfiniteQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import type { ColumnDef } from '@tanstack/react-table'
import { FolderKey, Plus } from 'lucide-react'
import { useCallback, useState } from 'react'
import { useMe } from '@/api/hooks'
import { groups } from '@/api/hub'
import type { Group } from '@/api/types'
import { Badge } from '@/components/badge'
import { Button } from '@/components/button'
import { DataTable } from '@/components/data-table'
import { SearchInput } from '@/components/filters'
import { Page } from '@/components/page'
import { EmptyState, ErrorState } from '@/components/states'
import { may, roleName } from '@/lib/access'
import { forbidden } from '@/lib/forbidden'
import { useChangeSearch } from '@/lib/use-list-search'
import type { NamedSearch } from '@/router'
import { GroupForm } from './form'

const route = getRouteApi('/signed-in/frame/groups')

const columns: ColumnDef<Group>[] = [
  {
    id: 'name', header: 'Name', accessorFn: (group) => group.name, enableHiding: false,
    cell: ({ row: { original: group } }) => (
      <div>
        <Link to="/groups/$id" params={{ id: group.id }} className="block truncate font-medium text-fg after:absolute after:inset-0">{group.name}</Link>
        {group.description && <span className="block truncate text-xs text-faint">{group.description}</span>}
      </div>
    ),
  },
  { id: 'source', header: 'From', accessorFn: (group) => group.source, meta: { className: 'w-32' }, cell: ({ row }) => <Badge>{row.original.source === 'local' ? 'Local' : 'Directory'}</Badge> },
  { id: 'roles', header: 'Gives', enableSorting: false, meta: { from: 'sm' }, cell: ({ row }) => <div className="flex gap-1 overflow-hidden">{row.original.roles.map((role) => <Badge key={role} tone={role === 'admin' ? 'accent' : 'neutral'}>{roleName(role)}</Badge>)}</div> },
  { id: 'members', header: 'Members', accessorFn: (group) => group.member_count, meta: { className: 'w-28 tabular-nums', from: 'sm' }, cell: ({ row }) => row.original.member_count },
]

/** Groups decide who sees which targets. */
export function GroupsPage() {
  const me = useMe()
  const { q } = route.useSearch()
  const change = useChangeSearch<NamedSearch>()
  const setText = useCallback((text: string | undefined) => change({ q: text }), [change])
  const [creating, setCreating] = useState(false)
  const query = useInfiniteQuery({ ...groups.list({ q }), enabled: may(me, 'see-people') })
  if (!may(me, 'see-people')) return <ErrorState error={forbidden} />
  const create = may(me, 'administer') && <Button variant="primary" icon={Plus} onClick={() => setCreating(true)}>New group</Button>
  return (
    <Page title="Groups" description="A target is open to the members of its groups. Groups of the directory follow the directory." actions={create}>
      <DataTable name="groups" label="Groups" query={query} columns={columns} rowId={(group) => group.id} sort={[{ id: 'name', desc: false }]}
        toolbar={<SearchInput value={q} onChange={setText} placeholder="Find a group…" />}
        empty={<EmptyState icon={FolderKey} title={q ? 'No group matches' : 'No groups yet'} action={!q && create}>{q ? 'Try another word.' : 'Make one for each circle of people who work on the same machines.'}</EmptyState>} />
      {creating && <GroupForm group={null} onClose={() => setCreating(false)} />}
    </Page>
  )
}
