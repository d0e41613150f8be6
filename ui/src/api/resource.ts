/** The same few operations for every collection of the hub, with their queries and cache keys. */
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query'
import { queryClient } from '@/lib/query-client'
import { apiPath, get, patch, post, remove, type QueryValue } from './client'
import type { Page } from './types'

export type Filters = Record<string, QueryValue>

const PAGE_SIZE = 100
/** A picker does not offer more than this; beyond it, one searches. */
const PICKER_LIMIT = 2000

/** Reads a list to its end, or to the limit of a picker. */
async function everything<Item>(path: string, filters: Filters, signal?: AbortSignal): Promise<Item[]> {
  const items: Item[] = []
  let cursor: string | null = null
  do {
    const page: Page<Item> = await get<Page<Item>>(apiPath(path, {}, { ...filters, limit: 200, cursor }), { signal })
    items.push(...page.items)
    cursor = page.next_cursor
  } while (cursor && items.length < PICKER_LIMIT)
  return items
}

/** A list that is read page by page while one scrolls. */
export function listQuery<Item>(key: string, path: string, filters: Filters = {}) {
  return infiniteQueryOptions({
    // The path belongs to the key: the members of a group are renewed with the groups, but are another list.
    queryKey: [key, 'list', path, filters],
    queryFn: ({ pageParam, signal }) =>
      get<Page<Item>>(apiPath(path, {}, { ...filters, limit: PAGE_SIZE, cursor: pageParam }), { signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: (previous) => previous,
  })
}

/** Queries and operations of one collection. `New` is what is sent to create one, `Change` to change it. */
export function resource<Item, New, Change>(key: string, path: string) {
  const onePath = `${path}/{id}` as `${string}/{id}`
  const renew = async () => {
    // Things name each other (a zone counts its targets, the ledger tells of all): what else is shown follows by itself.
    void queryClient.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== key && queryKey[0] !== 'preferences' })
    await queryClient.invalidateQueries({ queryKey: [key] })
  }
  return {
    key,
    list: (filters: Filters = {}) => listQuery<Item>(key, path, filters),
    /** All of them, for pickers and for names behind ids. */
    all: (filters: Filters = {}) =>
      queryOptions({
        queryKey: [key, 'all', filters],
        queryFn: ({ signal }) => everything<Item>(path, filters, signal),
        staleTime: 60_000,
      }),
    one: (id: string) =>
      queryOptions({
        queryKey: [key, 'one', id],
        queryFn: ({ signal }) => get<Item>(apiPath(onePath, { id }), { signal }),
      }),
    create: async (body: New) => {
      const item = await post<Item>(apiPath(path, {}), body)
      await renew()
      return item
    },
    update: async (id: string, body: Change) => {
      const item = await patch<Item>(apiPath(onePath, { id }), body)
      await renew()
      return item
    },
    remove: async (id: string) => {
      await remove(apiPath(onePath, { id }))
      queryClient.removeQueries({ queryKey: [key, 'one', id] })
      await renew()
    },
    /** Reads everything of this collection again. */
    renew,
  }
}
