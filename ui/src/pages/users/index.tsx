import type { ColumnDef } from '@tanstack/react-table'
import { Link } from '@tanstack/react-router'
import { Users } from 'lucide-react'
import { users } from '@/api/hub'
import type { User } from '@/api/types'
import { RoleBadges } from '@/components/badge'
import { ROW_LINK } from '@/components/data-table'
import { ListPage } from '@/components/list-page'
import { NamedCell } from '@/components/named-cell'
import { RelativeTime } from '@/components/time'
import { initials, personName } from '@/lib/format'
import { UserForm } from './form'
import { UserState } from './state'

const columns: ColumnDef<User>[] = [
  {
    id: 'name',
    header: 'Name',
    accessorFn: personName,
    enableHiding: false,
    cell: ({ row: { original: user } }) => (
      <>
        <span aria-hidden className="hidden size-7 shrink-0 place-items-center rounded-full bg-hover text-2xs font-semibold text-muted sm:grid">
          {initials(personName(user))}
        </span>
        <NamedCell under={<><span className="sm:hidden">{user.username}</span><span className="max-sm:hidden">{user.email}</span></>}>
          <Link to="/users/$id" params={{ id: user.id }} className={ROW_LINK}>
            {personName(user)}
          </Link>
        </NamedCell>
      </>
    ),
  },
  { id: 'username', header: 'User name', accessorFn: (user) => user.username, meta: { from: 'sm' }, cell: ({ row }) => <code className="truncate font-mono text-xs text-muted">{row.original.username}</code> },
  { id: 'roles', header: 'Roles', enableSorting: false, meta: { from: 'sm' }, cell: ({ row }) => <RoleBadges roles={row.original.effective_roles} /> },
  { id: 'source', header: 'From', accessorFn: (user) => user.source, meta: { className: 'w-28', from: 'md' }, cell: ({ row }) => (row.original.source === 'local' ? 'Local' : 'Directory') },
  { id: 'state', header: 'State', accessorFn: (user) => user.enabled, meta: { className: 'w-40 sm:w-44' }, cell: ({ row }) => <UserState user={row.original} /> },
  { id: 'login', header: 'Last sign-in', accessorFn: (user) => user.last_login_at ?? undefined, sortUndefined: 'last', meta: { className: 'w-32', from: 'md' }, cell: ({ row }) => <RelativeTime time={row.original.last_login_at} none="Never" /> },
]

/** The people who may sign in. */
export const UsersPage = () => (
  <ListPage
    title="Users"
    noun="person"
    icon={Users}
    createLabel="New local user"
    description="People from the directory appear when they first sign in; local accounts are made here."
    about="People from the directory appear when they first sign in. Local accounts are for break-glass and for development."
    list={(q) => users.list({ q })}
    columns={columns}
    nameOf={personName}
    form={(user, close, onCreated) => <UserForm user={user} onClose={close} onCreated={onCreated} />}
    dim={isDisabled}
    order={BY_USER_NAME}
    page="/users/$id"
  />
)

const BY_USER_NAME = [{ id: 'username', desc: false }]
const isDisabled = (user: User) => !user.enabled
