import type { ColumnDef } from '@tanstack/react-table'
import { Link } from '@tanstack/react-router'
import { Bot } from 'lucide-react'
import { serviceAccounts } from '@/api/hub'
import type { ServiceAccount } from '@/api/types'
import { EnabledBadge, RoleBadges } from '@/components/badge'
import { nameColumn } from '@/components/columns'
import { ROW_LINK } from '@/components/data-table'
import { ListPage } from '@/components/list-page'
import { RelativeTime } from '@/components/time'
import { DeleteServiceAccount } from './delete'
import { ServiceAccountForm } from './forms'

const columns: ColumnDef<ServiceAccount>[] = [
  nameColumn({
    under: (account) => account.description,
    cell: (account) => (
      <Link to="/service-accounts/$id" params={{ id: account.id }} className={ROW_LINK}>
        {account.name}
      </Link>
    ),
  }),
  { id: 'roles', header: 'Roles', enableSorting: false, meta: { from: 'sm' }, cell: ({ row }) => <RoleBadges roles={row.original.roles} /> },
  { id: 'state', header: 'State', accessorFn: (account) => account.enabled, meta: { className: 'w-28 sm:w-32' }, cell: ({ row }) => <EnabledBadge enabled={row.original.enabled} /> },
  { id: 'created', header: 'Since', accessorFn: (account) => account.created_at, meta: { className: 'w-32', from: 'md' }, cell: ({ row }) => <RelativeTime time={row.original.created_at} /> },
]

/** Programs that use the API. */
export const ServiceAccountsPage = () => (
  <ListPage
    title="Service accounts"
    noun="service account"
    icon={Bot}
    description="For programs that use the API with a token instead of a person’s sign-in."
    about="Make one for each program, so that each can be stopped by itself; then give it a token."
    list={(q) => serviceAccounts.list({ q })}
    columns={columns}
    page="/service-accounts/$id"
    form={(account, close, onCreated) => <ServiceAccountForm account={account} onClose={close} onCreated={onCreated} />}
    remove={(account, close) => <DeleteServiceAccount account={account} onClose={close} />}
    dim={isDisabled}
  />
)

const isDisabled = (account: ServiceAccount) => !account.enabled
