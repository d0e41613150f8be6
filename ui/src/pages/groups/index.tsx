import type { ColumnDef } from '@tanstack/react-table'
import { Link } from '@tanstack/react-router'
import { FolderKey } from 'lucide-react'
import { groups } from '@/api/hub'
import type { Group } from '@/api/types'
import { Badge, RoleBadges } from '@/components/badge'
import { nameColumn } from '@/components/columns'
import { ROW_LINK } from '@/components/data-table'
import { ListPage } from '@/components/list-page'
import { DeleteGroup } from './delete'
import { GroupForm } from './form'

const columns: ColumnDef<Group>[] = [
  nameColumn({
    under: (group) => group.description,
    cell: (group) => (
      <Link to="/groups/$id" params={{ id: group.id }} className={ROW_LINK}>
        {group.name}
      </Link>
    ),
  }),
  {
    id: 'source',
    header: 'From',
    accessorFn: (group) => group.source,
    meta: { className: 'w-28 sm:w-32' },
    cell: ({ row }) => <Badge>{row.original.source === 'local' ? 'Local' : 'Directory'}</Badge>,
  },
  {
    id: 'roles',
    header: 'Gives',
    enableSorting: false,
    meta: { from: 'sm' },
    cell: ({ row }) => <RoleBadges roles={row.original.roles} />,
  },
  {
    id: 'members',
    header: 'Members',
    accessorFn: (group) => group.member_count,
    meta: { className: 'w-28 tabular-nums', from: 'sm' },
    cell: ({ row }) => row.original.member_count.toLocaleString('en'),
  },
]

/** Groups decide who sees which targets. */
export const GroupsPage = () => (
  <ListPage
    title="Groups"
    noun="group"
    icon={FolderKey}
    description="A target is open to the members of its groups. Groups of the directory follow the directory."
    about="Make one for each circle of people who work on the same machines. Groups of the directory appear when their members sign in."
    list={(q) => groups.list({ q })}
    columns={columns}
    page="/groups/$id"
    form={(group, close, onCreated) => <GroupForm group={group} onClose={close} onCreated={onCreated} />}
    remove={(group, close) => <DeleteGroup group={group} onClose={close} />}
    changeable={isLocal}
  />
)

const isLocal = (group: Group) => group.source === 'local'
