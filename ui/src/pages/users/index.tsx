import { useInfiniteQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import type { ColumnDef } from '@tanstack/react-table'
import { Plus, Users } from 'lucide-react'
import { useCallback, useState } from 'react'
import { useMe } from '@/api/hooks'
import { users } from '@/api/hub'
import type { User } from '@/api/types'
import { Badge } from '@/components/badge'
import { Button } from '@/components/button'
import { DataTable } from '@/components/data-table'
import { SearchInput } from '@/components/filters'
import { Page } from '@/components/page'
import { EmptyState, ErrorState } from '@/components/states'
import { RelativeTime } from '@/components/time'
import { may, roleName } from '@/lib/access'
import { forbidden } from '@/lib/forbidden'
import { initials } from '@/lib/format'
import { useChangeSearch } from '@/lib/use-list-search'
import type { NamedSearch } from '@/router'
import { UserForm } from './form'

const route = getRouteApi('/signed-in/frame/users')

const columns: ColumnDef<User>[] = [
  {
    id: 'name', header: 'Name', accessorFn: (user) => user.display_name || user.username, enableHiding: false,
    cell: ({ row: { original: user } }) => (
      <>
        <span aria-hidden className="grid size-7 shrink-0 place-items-center rounded-full bg-hover text-2xs font-semibold text-muted">{initials(user.display_name || user.username)}</span>
        <div>
          <Link to="/users/$id" params={{ id: user.id }} className="block truncate font-medium text-fg after:absolute after:inset-0">{user.display_name || user.username}</Link>
          <span className="block truncate text-xs text-faint">{user.email ?? user.username}</span>
        </div>
      </>
    ),
  },
  { id: 'roles', header: 'Roles', enableSorting: false, meta: { from: 'sm' }, cell: ({ row: { original: user } }) => <div className="flex gap-1 overflow-hidden">{user.effective_roles.map((role) => <Badge key={role} tone={role === 'admin' ? 'accent' : 'neutral'}>{roleName(role)}</Badge>)}</div> },
  { id: 'source', header: 'From', accessorFn: (user) => user.source, meta: { className: 'w-28', from: 'md' }, cell: ({ row }) => (row.original.source === 'local' ? 'Local' : 'Directory') },
  { id: 'state', header: 'State', accessorFn: (user) => user.enabled, meta: { className: 'w-32' }, cell: ({ row }) => (row.original.enabled ? <Badge tone="success" dot>Enabled</Badge> : <Badge dot>Disabled</Badge>) },
  { id: 'login', header: 'Last sign-in', accessorFn: (user) => user.last_login_at ?? '', meta: { className: 'w-32', from: 'md' }, cell: ({ row }) => <RelativeTime time={row.original.last_login_at} none="Never" /> },
]

/** The people who may sign in. */
export function UsersPage() {
  const me = useMe()
  const { q } = route.useSearch()
  const change = useChangeSearch<NamedSearch>()
  const setText = useCallback((text: string | undefined) => change({ q: text }), [change])
  const [creating, setCreating] = useState(false)
  const query = useInfiniteQuery({ ...users.list({ q }), enabled: may(me, 'see-people') })
  if (!may(me, 'see-people')) return <ErrorState error={forbidden} />
  return (
    <Page title="Users" description="People from the directory appear when they first sign in; local accounts are made here."
      actions={may(me, 'administer') && <Button variant="primary" icon={Plus} onClick={() => setCreating(true)}>New local user</Button>}>
      <DataTable name="users" label="Users" query={query} columns={columns} rowId={(user) => user.id} sort={[{ id: 'name', desc: false }]} dim={(user) => !user.enabled}
        toolbar={<SearchInput value={q} onChange={setText} placeholder="Find a person…" />}
        empty={<EmptyState icon={Users} title="Nobody matches">Try another word.</EmptyState>} />
      {creating && <UserForm user={null} onClose={() => setCreating(false)} />}
    </Page>
  )
}
