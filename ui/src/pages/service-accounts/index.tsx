import { useInfiniteQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import type { ColumnDef } from '@tanstack/react-table'
import { Bot, Plus } from 'lucide-react'
import { useCallback, useState } from 'react'
import { useMe } from '@/api/hooks'
import { serviceAccounts } from '@/api/hub'
import type { ServiceAccount } from '@/api/types'
import { Badge } from '@/components/badge'
import { Button } from '@/components/button'
import { DataTable } from '@/components/data-table'
import { SearchInput } from '@/components/filters'
import { Page } from '@/components/page'
import { EmptyState, ErrorState } from '@/components/states'
import { RelativeTime } from '@/components/time'
import { may, roleName } from '@/lib/access'
import { forbidden } from '@/lib/forbidden'
import { useChangeSearch } from '@/lib/use-list-search'
import type { NamedSearch } from '@/router'
import { ServiceAccountForm } from './forms'

const route = getRouteApi('/signed-in/frame/service-accounts')

const columns: ColumnDef<ServiceAccount>[] = [
  {
    id: 'name', header: 'Name', accessorFn: (account) => account.name, enableHiding: false,
    cell: ({ row: { original: account } }) => (
      <div>
        <Link to="/service-accounts/$id" params={{ id: account.id }} className="block truncate font-medium text-fg after:absolute after:inset-0">{account.name}</Link>
        {account.description && <span className="block truncate text-xs text-faint">{account.description}</span>}
      </div>
    ),
  },
  { id: 'roles', header: 'Roles', enableSorting: false, meta: { from: 'sm' }, cell: ({ row }) => <div className="flex gap-1 overflow-hidden">{row.original.roles.map((role) => <Badge key={role}>{roleName(role)}</Badge>)}</div> },
  { id: 'state', header: 'State', accessorFn: (account) => account.enabled, meta: { className: 'w-32' }, cell: ({ row }) => (row.original.enabled ? <Badge tone="success" dot>Enabled</Badge> : <Badge dot>Disabled</Badge>) },
  { id: 'created', header: 'Since', accessorFn: (account) => account.created_at, meta: { className: 'w-32', from: 'md' }, cell: ({ row }) => <RelativeTime time={row.original.created_at} /> },
]

/** Programs that use the API. */
export function ServiceAccountsPage() {
  const me = useMe()
  const { q } = route.useSearch()
  const change = useChangeSearch<NamedSearch>()
  const setText = useCallback((text: string | undefined) => change({ q: text }), [change])
  const [creating, setCreating] = useState(false)
  const query = useInfiniteQuery({ ...serviceAccounts.list({ q }), enabled: may(me, 'see-people') })
  if (!may(me, 'see-people')) return <ErrorState error={forbidden} />
  const create = may(me, 'administer') && <Button variant="primary" icon={Plus} onClick={() => setCreating(true)}>New service account</Button>
  return (
    <Page title="Service accounts" description="For programs that use the API with a token instead of a person’s sign-in." actions={create}>
      <DataTable name="service-accounts" label="Service accounts" query={query} columns={columns} rowId={(account) => account.id} sort={[{ id: 'name', desc: false }]} dim={(account) => !account.enabled}
        toolbar={<SearchInput value={q} onChange={setText} placeholder="Find a service account…" />}
        empty={<EmptyState icon={Bot} title={q ? 'None matches' : 'No service accounts yet'} action={!q && create}>{q ? 'Try another word.' : 'Make one for each program, so that each can be stopped by itself.'}</EmptyState>} />
      {creating && <ServiceAccountForm account={null} onClose={() => setCreating(false)} />}
    </Page>
  )
}
