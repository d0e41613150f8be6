/** Which lists and pages are read again when something happens. */
import { useEffect } from 'react'
import { listen, type LiveEvent } from '@/api/live'
import { lastInputAt } from './attention'
import { queryClient } from './query-client'

/** Someone who touched nothing for so long is away: what they would see is read when they come back. */
const AWAY_MS = 5 * 60_000
/** Many things that happen together are read once. */
const TOGETHER_MS = 400
/** While much happens, what is shown is read no more often than this. */
const APART_MS = 3_000

/** The first parts of the keys of what an event changes. */
export function keysOf({ event_type }: LiveEvent): string[] {
  const family = event_type.startsWith('openpam.') ? event_type.split('.')[1] : undefined
  if (family === 'session') return ['sessions', 'recordings', 'events']
  if (family === 'user') return ['users', 'events']
  return ['events']
}

const isHere = () => document.visibilityState === 'visible' && Date.now() - lastInputAt() < AWAY_MS

/** Keeps what is shown as it is at the hub, while somebody looks. */
export function useLiveUpdates(): void {
  useEffect(() => {
    const leaving = new AbortController()
    const changed = new Set<string>()
    let timer: ReturnType<typeof setTimeout> | undefined
    let renewed = 0
    const renew = () => {
      timer = undefined
      renewed = Date.now()
      const keys = new Set(changed)
      changed.clear()
      const predicate = ({ queryKey }: { queryKey: readonly unknown[] }) => keys.has(String(queryKey[0]))
      void queryClient.invalidateQueries({ predicate, refetchType: isHere() ? 'active' : 'none' })
    }
    const note = (keys: string[]) => {
      for (const key of keys) changed.add(key)
      timer ??= setTimeout(renew, Math.max(TOGETHER_MS, renewed + APART_MS - Date.now()))
    }
    listen(leaving.signal, isHere, (event) => note(keysOf(event)), () => note(['sessions', 'users', 'events']))
    return () => {
      leaving.abort()
      clearTimeout(timer)
    }
  }, [])
}
