/** Queries and their keys for what several pages read. Keys start with the resource, so one call renews all of it. */
import { queryOptions, useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { apiPath, get, readiness } from './client'
import type { Me, Motd, Providers } from './types'

/** How one may sign in here; public. */
export const providersQuery = queryOptions({
  queryKey: ['auth', 'providers'],
  queryFn: ({ signal }) => get<Providers>(apiPath('/auth/providers', {}), { signal }),
  staleTime: 5 * 60_000,
})

/** Who is signed in. Fails with 401 when nobody is. */
export const meQuery = queryOptions({
  queryKey: ['auth', 'me'],
  queryFn: ({ signal }) => get<Me>(apiPath('/auth/me', {}), { signal }),
  staleTime: 60_000,
})

/** What an administrator tells everybody. */
export const motdQuery = queryOptions({
  queryKey: ['motd'],
  queryFn: ({ signal }) => get<Motd>(apiPath('/motd', {}), { signal }),
  meta: { quiet: true },
})

/** Who is signed in; only below a route that has made sure of it. */
export const useMe = (): Me => useSuspenseQuery(meQuery).data

/** Which parts of the hub are ready; polled while the page is in front. */
export const useReadiness = () =>
  useQuery({
    queryKey: ['readyz'],
    queryFn: ({ signal }) => readiness(signal),
    refetchInterval: (query) => (query.state.status === 'error' ? 3_000 : 30_000),
    retry: false,
    meta: { quiet: true },
  })
