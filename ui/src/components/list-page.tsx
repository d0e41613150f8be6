import { useInfiniteQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import type { ColumnDef, SortingState } from '@tanstack/react-table'
import { Pencil, Plus, Trash2, type LucideIcon } from 'lucide-react'
import { useCallback, useMemo, useState, type ReactNode } from 'react'
import { useMe } from '@/api/hooks'
import type { listQuery } from '@/api/resource'
import { may } from '@/lib/access'
import { useChangeSearch } from '@/lib/use-list-search'
import { Button } from './button'
import { DataTable } from './data-table'
import { SearchInput } from './filters'
import { MenuItem, MoreMenu } from './menu'
import { Page } from './page'
import { EmptyState } from './states'

type PageOfOne = '/users/$id' | '/groups/$id' | '/credentials/$id' | '/service-accounts/$id' | '/targets/$id'

interface ListPageProps<Item> {
  title: string
  description: ReactNode
  icon: LucideIcon
  /** What one of them is called: "zone". */
  noun: string
  /** The list, for what is being searched for. */
  list: (q: string | undefined) => ReturnType<typeof listQuery<Item>>
  columns: ColumnDef<Item>[]
  /** What one is called, where that is not its name. */
  nameOf?: (item: Item) => string
  /** What stands there while there is none: what it is for, how to begin. */
  about: ReactNode
  /** In place of "New …" on an empty list. */
  begin?: ReactNode
  /** The verb of the primary act, where it is not "New zone". */
  createLabel?: string
  /** Creates one, or changes the one given. */
  form: (item: Item | null, close: () => void, onCreated: (item: Item) => void) => ReactNode
  /** Where one of them has a page of its own: there one goes on after creating it. */
  page?: PageOfOne
  /** Asks before one is deleted. */
  remove?: (item: Item, close: () => void) => ReactNode
  /** Filters beside the search. */
  filters?: ReactNode
  /** Whether one of those filters is set. */
  filtered?: boolean
  dim?: (item: Item) => boolean
  /** The order the hub lists in, where that is not by name. */
  order?: SortingState
  /** Which of them can be changed and deleted here; all, unless said. */
  changeable?: (item: Item) => boolean
}

/** A list of things that an administrator creates, changes and deletes; everybody else reads it. */
export function ListPage<Item extends { id: string; name?: string }>(props: ListPageProps<Item>) {
  const { title, noun, form, remove, nameOf = ownName, changeable, page, filtered = false } = props
  const admin = may(useMe(), 'administer')
  const { q } = useSearch({ strict: false }) as { q?: string }
  const change = useChangeSearch<{ q?: string }>()
  const setText = useCallback((text: string | undefined) => change({ q: text }), [change])
  const [editing, setEditing] = useState<Item | 'new' | null>(null)
  const [deleting, setDeleting] = useState<Item | null>(null)
  const query = useInfiniteQuery(props.list(q))
  const navigate = useNavigate()
  // A new one is rarely of use yet: its page has what is still to do.
  const goTo = ({ id }: Item) => page && void navigate({ to: page, params: { id }, ignoreBlocker: true })
  const deletable = remove !== undefined
  const columns = useMemo<ColumnDef<Item>[]>(() => {
    if (!admin) return props.columns
    const acts: ColumnDef<Item> = {
      id: 'actions',
      header: '',
      enableHiding: false,
      enableSorting: false,
      meta: { className: 'w-12' },
      cell: ({ row: { original: item } }) =>
        (changeable?.(item) ?? true) && (
          <MoreMenu label={`Actions for ${nameOf(item)}`}>
            <MenuItem icon={Pencil} onSelect={() => setEditing(item)}>
              Edit…
            </MenuItem>
            {deletable && (
              <MenuItem icon={Trash2} danger onSelect={() => setDeleting(item)}>
                Delete…
              </MenuItem>
            )}
          </MoreMenu>
        ),
    }
    return [...props.columns, acts]
  }, [admin, props.columns, nameOf, changeable, deletable])
  const create = admin && (
    <Button variant="primary" icon={Plus} onClick={() => setEditing('new')}>
      {props.createLabel ?? `New ${noun}`}
    </Button>
  )
  const narrowed = filtered || q !== undefined
  return (
    <Page title={title} description={props.description} actions={create}>
      <DataTable
        name={title.toLowerCase().replaceAll(' ', '-')}
        label={title}
        query={query}
        columns={columns}
        rowId={(item) => item.id}
        order={props.order ?? BY_NAME}
        dim={props.dim}
        toolbar={
          <>
            <SearchInput value={q} onChange={setText} placeholder={`Find a ${noun}…`} />
            {props.filters}
          </>
        }
        empty={
          narrowed ? (
            <EmptyState icon={props.icon} title={`No ${noun} matches`}>
              Try another word{filtered && ', or take a filter away'}.
            </EmptyState>
          ) : (
            <EmptyState icon={props.icon} title={`No ${title.toLowerCase()} yet`} action={admin && (props.begin ?? create)}>
              {props.about}
            </EmptyState>
          )
        }
      />
      {editing && form(editing === 'new' ? null : editing, () => setEditing(null), goTo)}
      {deleting && remove?.(deleting, () => setDeleting(null))}
    </Page>
  )
}

const ownName = ({ name = '' }: { name?: string }) => name
const BY_NAME = [{ id: 'name', desc: false }]
