/** Columns that lists have in common. */
import type { ColumnDef } from '@tanstack/react-table'
import type { ReactNode } from 'react'
import { NamedCell } from './named-cell'
import { RelativeTime } from './time'

interface NameColumn<Item> {
  /** The name, as a link that the whole row follows where it has a page. */
  cell: (item: Item) => ReactNode
  /** A line under it. */
  under: (item: Item) => ReactNode
}

/** The name of a thing, which no list is without. */
export const nameColumn = <Item extends { name: string }>({ cell, under }: NameColumn<Item>): ColumnDef<Item> => ({
  id: 'name',
  header: 'Name',
  accessorFn: (item) => item.name,
  enableHiding: false,
  cell: ({ row: { original: item } }) => <NamedCell under={under(item)}>{cell(item)}</NamedCell>,
})

/** When it was changed last, from a screen of this width on. */
export const changedColumn = <Item extends { updated_at: string }>(from: 'sm' | 'md' = 'md'): ColumnDef<Item> => ({
  id: 'updated',
  header: 'Changed',
  accessorFn: (item) => item.updated_at,
  meta: { className: 'w-32', from },
  cell: ({ row }) => <RelativeTime time={row.original.updated_at} />,
})
