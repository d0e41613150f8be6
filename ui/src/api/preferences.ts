/** What a person chose, kept by the hub so that it is the same in every browser. Never a secret. */
import { queryOptions, useQuery } from '@tanstack/react-query'
import { useCallback } from 'react'
import { queryClient } from '@/lib/query-client'
import { apiPath, get, put } from './client'
import type { Preferences } from './types'

const preferencesQuery = queryOptions({
  queryKey: ['preferences'],
  queryFn: ({ signal }) => get<Preferences>(apiPath('/me/preferences', {}), { signal }),
  staleTime: Number.POSITIVE_INFINITY,
})

let pending: ReturnType<typeof setTimeout> | undefined

/** Changes one preference at once and writes all of them a moment later; a lost write costs a preference, nothing else. */
function write(name: string, value: unknown) {
  queryClient.setQueryData<Preferences>(preferencesQuery.queryKey, (before) => ({ ...before, [name]: value }))
  clearTimeout(pending)
  pending = setTimeout(() => {
    put(apiPath('/me/preferences', {}), queryClient.getQueryData(preferencesQuery.queryKey)).catch(() => undefined)
  }, 600)
}

/** One preference, with what it is until it is chosen. */
export function usePreference<Value>(name: string, initial: Value, check: (value: unknown) => value is Value) {
  const { data } = useQuery(preferencesQuery)
  const stored = data?.[name]
  const value = check(stored) ? stored : initial
  const set = useCallback((next: Value) => write(name, next), [name])
  return [value, set] as const
}
