import { useNavigate } from '@tanstack/react-router'
import { useCallback } from 'react'

/**
 * Changes some search parameters of the page one is on, in place of the history
 * entry: typing into a search does not fill the way back.
 */
export function useChangeSearch<Search extends object>() {
  const navigate = useNavigate()
  return useCallback(
    (next: Partial<Search>) =>
      void navigate({ to: '.', search: ((before: object) => ({ ...before, ...next })) as never, replace: true, ignoreBlocker: true }),
    [navigate],
  )
}

/** Seconds that a period goes back. */
const SECONDS = { hour: 3600, day: 86_400, week: 7 * 86_400, month: 30 * 86_400 } as const

/** The periods a list can be cut to. */
export const PERIOD_OPTIONS = [
  { value: 'hour', label: 'Last hour' },
  { value: 'day', label: 'Last 24 hours' },
  { value: 'week', label: 'Last 7 days' },
  { value: 'month', label: 'Last 30 days' },
] as const satisfies { value: keyof typeof SECONDS; label: string }[]

/** Where a period begins, to the minute, so that the same list keeps the same key. */
export function periodStart(period: keyof typeof SECONDS | undefined): string | undefined {
  if (!period) return undefined
  const minute = Math.floor(Date.now() / 60_000) * 60_000
  return new Date(minute - SECONDS[period] * 1000).toISOString()
}

/** A day of the reader's own calendar as the moments it begins and ends at; nothing for none. */
export function dayStart(day: string | undefined): string | undefined {
  return day === undefined ? undefined : new Date(`${day}T00:00:00`).toISOString()
}

export function dayEnd(day: string | undefined): string | undefined {
  if (day === undefined) return undefined
  const next = new Date(`${day}T00:00:00`)
  next.setDate(next.getDate() + 1)
  return next.toISOString()
}
