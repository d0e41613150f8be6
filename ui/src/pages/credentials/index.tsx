import type { ColumnDef } from '@tanstack/react-table'
import { Link } from '@tanstack/react-router'
import { KeyRound } from 'lucide-react'
import { credentials } from '@/api/hub'
import type { Credential } from '@/api/types'
import { Badge } from '@/components/badge'
import { changedColumn, nameColumn } from '@/components/columns'
import { ROW_LINK } from '@/components/data-table'
import { ListPage } from '@/components/list-page'
import { credentialKind } from '@/lib/credentials'
import { DeleteCredential } from './delete'
import { CredentialForm } from './form'

const columns: ColumnDef<Credential>[] = [
  nameColumn({
    under: (credential) => credential.description,
    cell: (credential) => (
      <Link to="/credentials/$id" params={{ id: credential.id }} className={ROW_LINK}>
        {credential.name}
      </Link>
    ),
  }),
  {
    id: 'username',
    header: 'Logs in as',
    accessorFn: (credential) => credential.username,
    cell: ({ row }) => <code className="truncate font-mono text-xs text-muted">{row.original.username}</code>,
  },
  {
    id: 'kind',
    header: 'Kind',
    accessorFn: (credential) => credentialKind[credential.kind],
    meta: { className: 'w-40', from: 'sm' },
    cell: ({ row }) => <Badge>{credentialKind[row.original.kind]}</Badge>,
  },
  {
    id: 'targets',
    header: 'Targets',
    accessorFn: (credential) => credential.target_count,
    meta: { className: 'w-24 tabular-nums', from: 'md' },
    cell: ({ row }) => row.original.target_count.toLocaleString('en'),
  },
  changedColumn(),
]

/** How to log in to targets; never the secrets themselves. */
export const CredentialsPage = () => (
  <ListPage
    title="Credentials"
    noun="credential"
    icon={KeyRound}
    description="How the hub logs in to targets. The secrets stay in the vault."
    about="A credential is a user name and a reference to its secret in the vault. Give it to the targets it opens."
    list={(q) => credentials.list({ q })}
    columns={columns}
    page="/credentials/$id"
    form={(credential, close, onCreated) => <CredentialForm credential={credential} onClose={close} onCreated={onCreated} />}
    remove={(credential, close) => <DeleteCredential credential={credential} onClose={close} />}
  />
)

