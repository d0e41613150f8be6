import type { InfiniteData, UseInfiniteQueryResult } from '@tanstack/react-query'
import {
  flexRender,
  functionalUpdate,
  getCoreRowModel,
  getSortedRowModel,
  useReactTable,
  type ColumnDef,
  type RowData,
  type SortingState,
} from '@tanstack/react-table'
import { useVirtualizer } from '@tanstack/react-virtual'
import { ArrowDown, ArrowUp, Columns3 } from 'lucide-react'
import { useEffect, useLayoutEffect, useMemo, useRef, useState, type ReactNode } from 'react'
import { usePreference } from '@/api/preferences'
import type { Page } from '@/api/types'
import { cn } from '@/lib/cn'
import { IconButton } from './button'
import { Menu, MenuCheck, MenuLabel } from './menu'
import { ErrorState, InlineProblem, Skeleton } from './states'

declare module '@tanstack/react-table' {
  // oxlint-disable-next-line no-unused-vars -- the names of the parameters are the library's
  interface ColumnMeta<TData extends RowData, TValue> {
    /** The narrowest screen that shows the column. */
    from?: 'sm' | 'md' | 'lg' | 'xl' | '2xl'
    className?: string
    /** What the column is called in the list of columns, where the heading is empty. */
    label?: string
  }
}

const FROM = { sm: 'hidden sm:table-cell', md: 'hidden md:table-cell', lg: 'hidden lg:table-cell', xl: 'hidden xl:table-cell', '2xl': 'hidden 2xl:table-cell' }
const ROW_HEIGHT = 45

export type ListResult<Item> = UseInfiniteQueryResult<InfiniteData<Page<Item>>, Error>

interface DataTableProps<Item> {
  /** Names the table for the list of columns that each person keeps. */
  name: string
  label: string
  query: ListResult<Item>
  columns: ColumnDef<Item>[]
  rowId: (item: Item) => string
  /** What stands there when nothing was found. */
  empty: ReactNode
  toolbar?: ReactNode
  /** The order the hub lists in, shown until another is chosen. */
  order?: SortingState
  dim?: (item: Item) => boolean
}

const isStringList = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((entry) => typeof entry === 'string')
const NOTHING: string[] = []
const UNSORTED: SortingState = []
/** A longer list is not read to its end for the sake of an order. */
const SORT_LIMIT = 5_000

/** The name in a row, spread over all of it, so that the whole row leads there. */
export const ROW_LINK =
  'text-data block max-w-full truncate font-medium text-fg outline-none after:absolute after:inset-0 focus-visible:after:rounded-md focus-visible:after:outline-2 focus-visible:after:-outline-offset-2 focus-visible:after:outline-ring'

/**
 * A list of any length: pages are read while one scrolls, only what is visible
 * is drawn. Who asks for another order waits until everything is read: the order
 * of a part would be a wrong answer.
 */
export function DataTable<Item>({ name, label, query, columns, rowId, empty, toolbar, order = UNSORTED, dim }: DataTableProps<Item>) {
  // Rows keep what their columns once said: with other columns (a name that became known) they are made anew.
  // oxlint-disable-next-line react-hooks/exhaustive-deps -- see above
  const items = useMemo(() => query.data?.pages.flatMap((page) => page.items) ?? [], [query.data, columns])
  const [chosen, setChosen] = useState<SortingState | null>(null)
  const [hidden, setHidden] = usePreference(`columns.${name}`, NOTHING, isStringList)
  const complete = !query.hasNextPage
  const tooMany = chosen !== null && !complete && items.length >= SORT_LIMIT
  const columnVisibility = useMemo(() => Object.fromEntries(hidden.map((id) => [id, false])), [hidden])
  const table = useReactTable({
    data: items,
    columns,
    state: { sorting: chosen ?? order, columnVisibility },
    // A new object in the state makes the table compute, and reset pages that it does not have, for ever.
    autoResetAll: false,
    onSortingChange: (next) => setChosen((before) => functionalUpdate(next, before ?? order)),
    getRowId: rowId,
    getCoreRowModel: getCoreRowModel(),
    getSortedRowModel: getSortedRowModel(),
    // The hub's own order is left as it came.
    manualSorting: chosen === null || !complete,
    enableSortingRemoval: false,
  })
  const rows = table.getRowModel().rows

  const frame = useRef<HTMLDivElement>(null)
  const [offset, setOffset] = useState(0)
  useLayoutEffect(() => setOffset(frame.current?.offsetTop ?? 0), [query.isPending])
  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => frame.current?.closest<HTMLElement>('[data-page-scroll]') ?? null,
    estimateSize: () => ROW_HEIGHT,
    overscan: 12,
    scrollMargin: offset,
  })
  const visible = virtualizer.getVirtualItems()
  const before = Math.max(0, (visible[0]?.start ?? offset) - offset)
  const after = Math.max(0, virtualizer.getTotalSize() - ((visible.at(-1)?.end ?? offset) - offset))

  const last = visible.at(-1)?.index ?? 0
  const { hasNextPage, isFetchingNextPage, isFetchNextPageError, fetchNextPage } = query
  useEffect(() => {
    const wanted = last >= rows.length - 20 || (chosen !== null && !tooMany)
    if (hasNextPage && !isFetchingNextPage && !isFetchNextPageError && wanted) void fetchNextPage()
  }, [hasNextPage, isFetchingNextPage, isFetchNextPageError, fetchNextPage, last, rows.length, chosen, tooMany])

  const choosable = table.getAllLeafColumns().filter((column) => column.getCanHide() && column.columnDef.header)
  const bar = (
    <div className="mb-3 flex flex-wrap items-center gap-2">
      {toolbar}
      <span className="flex-1" />
      <span aria-live="polite" className="hidden text-xs text-faint tabular-nums sm:inline">
        {tooMany && 'Too many to sort: narrow the list down. '}
        {chosen && !complete && !tooMany && 'Reading all of them to sort… '}
        {query.data && `${items.length.toLocaleString('en')}${hasNextPage ? '+' : ''}`}
      </span>
      {choosable.length > 1 && (
        <Menu trigger={<IconButton icon={Columns3} label="Columns" size="sm" bare className="hidden sm:inline-grid" />}>
          <MenuLabel>Columns</MenuLabel>
          {choosable.map((column) => (
            <MenuCheck
              key={column.id}
              keepOpen
              checked={column.getIsVisible()}
              onChange={(shown) => setHidden(shown ? hidden.filter((id) => id !== column.id) : [...hidden, column.id])}
            >
              {String(column.columnDef.header)}
            </MenuCheck>
          ))}
        </Menu>
      )}
    </div>
  )

  if (query.isError && !query.data) return <>{bar}<ErrorState error={query.error} onRetry={() => void query.refetch()} /></>
  const waiting = query.isPending
  if (!waiting && rows.length === 0) return <>{bar}<div className="rounded-xl border border-dashed">{empty}</div></>

  return (
    <>
      {bar}
      {query.isRefetchError && <InlineProblem error={query.error} className="mb-3" />}
      <div ref={frame} className={cn('rounded-xl border bg-surface shadow-card', query.isPlaceholderData && 'opacity-60')}>
        <table aria-label={label} aria-busy={waiting} className="w-full table-fixed border-separate border-spacing-0 text-sm">
          <thead>
            {table.getHeaderGroups().map((group) => (
              <tr key={group.id}>
                {group.headers.map((header) => {
                  const { meta } = header.column.columnDef
                  const direction = header.column.getIsSorted()
                  const heading = flexRender(header.column.columnDef.header, header.getContext())
                  return (
                    <th
                      key={header.id}
                      scope="col"
                      aria-sort={direction ? (direction === 'asc' ? 'ascending' : 'descending') : undefined}
                      className={cn(
                        'sticky top-0 z-20 h-9 border-b bg-surface px-3 text-left text-xs font-medium text-muted first:rounded-tl-xl last:rounded-tr-xl',
                        meta?.from && FROM[meta.from],
                        meta?.className,
                      )}
                    >
                      {header.column.getCanSort() ? (
                        <button
                          type="button"
                          onClick={header.column.getToggleSortingHandler()}
                          className="-mx-1 inline-flex max-w-full items-center gap-1 rounded px-1 hover:text-fg"
                        >
                          <span className="truncate">{heading}</span>
                          {direction === 'asc' && <ArrowUp aria-hidden className="size-3" />}
                          {direction === 'desc' && <ArrowDown aria-hidden className="size-3" />}
                        </button>
                      ) : (
                        heading || <span className="sr-only">{meta?.label ?? 'Actions'}</span>
                      )}
                    </th>
                  )
                })}
              </tr>
            ))}
          </thead>
          <tbody>
            {waiting && <SkeletonRows columns={columns} />}
            {before > 0 && <Spacer height={before} />}
            {visible.map((item) => {
              const row = rows[item.index]
              if (!row) return null
              return (
                <tr
                  key={row.id}
                  data-index={item.index}
                  ref={virtualizer.measureElement}
                  className={cn('group relative transition-colors hover:bg-hover/60', dim?.(row.original) && 'text-faint')}
                >
                  {row.getVisibleCells().map((cell) => {
                    const { meta } = cell.column.columnDef
                    return (
                      <td
                        key={cell.id}
                        className={cn(
                          'h-11 border-b border-line px-3 group-last:border-b-0',
                          meta?.from && FROM[meta.from],
                          meta?.className,
                        )}
                      >
                        <div className="flex min-w-0 items-center gap-2 [&>*]:min-w-0">
                          {flexRender(cell.column.columnDef.cell, cell.getContext())}
                        </div>
                      </td>
                    )
                  })}
                </tr>
              )
            })}
            {after > 0 && <Spacer height={after} />}
          </tbody>
        </table>
        {isFetchingNextPage && <p className="border-t px-3 py-2 text-xs text-faint">Loading more…</p>}
        {isFetchNextPageError && <ErrorState error={query.error} onRetry={() => void fetchNextPage()} className="py-6" />}
      </div>
    </>
  )
}

const Spacer = ({ height }: { height: number }) => <tr aria-hidden style={{ height }} />

function SkeletonRows<Item>({ columns }: { columns: ColumnDef<Item>[] }) {
  return Array.from({ length: 8 }, (_, row) => (
    <tr key={row} aria-hidden>
      {columns.map((column, index) => (
        <td
          // oxlint-disable-next-line react/no-array-index-key -- bars without identity
          key={index}
          className={cn('h-11 border-b px-3', column.meta?.from && FROM[column.meta.from], column.meta?.className)}
        >
          <Skeleton className={index === 0 ? 'w-3/5' : 'w-2/5'} />
        </td>
      ))}
    </tr>
  ))
}
