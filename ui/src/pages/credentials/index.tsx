import { useInfiniteQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import type { ColumnDef } from '@tanstack/react-table'
import { KeyRound, Plus } from 'lucide-react'
import { useCallback, useState } from 'react'
import { useMe } from '@/api/hooks'
import { credentials } from '@/api/hub'
import type { Credential } from '@/api/types'
import { Badge } from '@/components/badge'
import { Button } from '@/components/button'
import { DataTable } from '@/components/data-table'
import { SearchInput } from '@/components/filters'
import { Page } from '@/components/page'
import { EmptyState } from '@/components/states'
import { RelativeTime } from '@/components/time'
import { may } from '@/lib/access'
import { useChangeSearch } from '@/lib/use-list-search'
import type { NamedSearch } from '@/router'
import { credentialKind } from '../launcher/use-connect'
import { CredentialForm } from './form'

const route = getRouteApi('/signed-in/frame/credentials')

const columns: ColumnDef<Credential>[] = [
  {
    id: 'name', header: 'Name', accessorFn: (credential) => credential.name, enableHiding: false,
    cell: ({ row: { original } }) => (
      <div>
        <Link to="/credentials/$id" params={{ id: original.id }} className="block truncate font-medium text-fg after:absolute after:inset-0">{original.name}</Link>
        {original.description && <span className="block truncate text-xs text-faint">{original.description}</span>}
      </div>
    ),
  },
  { id: 'username', header: 'Logs in as', accessorFn: (credential) => credential.username, cell: ({ row }) => <code className="truncate font-mono text-xs">{row.original.username}</code> },
  { id: 'kind', header: 'Kind', accessorFn: (credential) => credential.kind, meta: { className: 'w-40', from: 'sm' }, cell: ({ row }) => <Badge>{credentialKind[row.original.kind]}</Badge> },
  { id: 'targets', header: 'Targets', accessorFn: (credential) => credential.target_count, meta: { className: 'w-24 tabular-nums', from: 'md' }, cell: ({ row }) => row.original.target_count },
  { id: 'updated', header: 'Changed', accessorFn: (credential) => credential.updated_at, meta: { className: 'w-32', from: 'md' }, cell: ({ row }) => <RelativeTime time={row.original.updated_at} /> },
]

/** How to log in to targets; never the secrets themselves. */
export function CredentialsPage() {
  const me = useMe()
  const { q } = route.useSearch()
  const change = useChangeSearch<NamedSearch>()
  const setText = useCallback((text: string | undefined) => change({ q: text }), [change])
  const [creating, setCreating] = useState(false)
  const query = useInfiniteQuery(credentials.list({ q }))
  const create = may(me, 'administer') && <Button variant="primary" icon={Plus} onClick={() => setCreating(true)}>New credential</Button>
  return (
    <Page title="Credentials" description="How the hub logs in to targets. The secrets stay in the vault." actions={create}>
      <DataTable name="credentials" label="Credentials" query={query} columns={columns} rowId={(credential) => credential.id} sort={[{ id: 'name', desc: false }]}
        toolbar={<SearchInput value={q} onChange={setText} placeholder="Find a credential…" />}
        empty={<EmptyState icon={KeyRound} title={q ? 'No credential matches' : 'No credentials yet'} action={!q && create}>{q ? 'Try another word.' : 'A credential is a user name and a reference to its secret in the vault.'}</EmptyState>} />
      {creating && <CredentialForm credential={null} onClose={() => setCreating(false)} />}
    </Page>
  )
}
