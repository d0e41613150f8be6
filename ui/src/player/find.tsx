/** Finding text in one recording, and the commands that were run in it. */
import { useQuery } from '@tanstack/react-query'
import { ChevronDown, ChevronUp, Search } from 'lucide-react'
import { useMemo, useState, type FormEvent, type RefObject } from 'react'
import { recordings } from '@/api/hub'
import { ApiProblem } from '@/api/problem'
import { IconButton } from '@/components/button'
import { cn } from '@/lib/cn'
import { formatPosition, type Marker } from './format'

const LEAST = 2
/** A hit is shown from a moment before it on, so that it is seen to come. */
const LEAD_SECONDS = 1

export const leadTo = (at: number): number => Math.max(0, at - LEAD_SECONDS)

/** What was found: where, and how many there are. */
export interface Found {
  hits: readonly Marker[]
  count: number
  pending: boolean
  error: unknown
}

/** Looks for a text in a recording; nothing while there is none. */
export function useFind(sessionId: string, text: string | undefined): Found {
  const q = text?.trim() ?? ''
  const query = useQuery({ ...recordings.searchWithin(sessionId, q), enabled: [...q].length >= LEAST })
  const { data, error } = query
  return useMemo(
    () => ({
      hits: (data?.hits ?? []).map((hit): Marker => [hit.at, hit.text]),
      count: data?.count ?? 0,
      pending: query.fetchStatus === 'fetching',
      error,
    }),
    [data, error, query.fetchStatus],
  )
}

/** The hit one is at or behind: the last one before now, and a little more, since one is led to a hit from before it. */
const hitAt = (hits: readonly Marker[], time: number): number => hits.findLastIndex(([at]) => leadTo(at) <= time + 0.05)

interface FindBoxProps {
  input: RefObject<HTMLInputElement | null>
  text: string | undefined
  found: Found
  time: number
  onText: (text: string | undefined) => void
  onSeek: (seconds: number) => void
}

export function FindBox({ input, text, found, time, onText, onSeek }: FindBoxProps) {
  const [draft, setDraft] = useState(text ?? '')
  // Another search, from elsewhere, wins over what is being typed.
  const [shown, setShown] = useState(text)
  if (text !== shown) {
    setShown(text)
    setDraft(text ?? '')
  }
  const { hits } = found
  const at = hitAt(hits, time)
  const go = (direction: 1 | -1) => {
    const next = hits[direction > 0 ? at + 1 : at - 1] ?? (direction > 0 ? hits[0] : hits.at(-1))
    if (next) onSeek(leadTo(next[0]))
  }
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    const next = draft.trim()
    if (next !== (text ?? '')) onText(next || undefined)
    else go(1)
  }
  const long = [...(text?.trim() ?? '')].length >= LEAST
  return (
    // oxlint-disable-next-line jsx-a11y/prefer-tag-over-role -- a search landmark that is a form
    <form role="search" aria-label="This recording" onSubmit={onSubmit} className="flex min-w-0 items-center gap-1">
      <span className="relative block min-w-0">
        <Search aria-hidden className="pointer-events-none absolute top-2 left-2 size-4 text-faint" />
        <input
          ref={input}
          type="search"
          dir="auto"
          value={draft}
          maxLength={200}
          placeholder="Find in this recording"
          aria-label="Find in this recording"
          onChange={(event) => setDraft(event.target.value)}
          className="h-8 w-52 max-w-full rounded-md border bg-surface pr-2 pl-7 text-xs text-fg"
        />
      </span>
      {long && (
        <span role="status" className="px-1 text-xs whitespace-nowrap text-muted tabular-nums">
          {found.error ? (
            <span className="text-danger-text">{found.error instanceof ApiProblem ? found.error.code : 'failed'}</span>
          ) : found.pending ? (
            '…'
          ) : hits.length === 0 ? (
            'Nothing found'
          ) : (
            `${at >= 0 ? `${at + 1} of ` : ''}${found.count > hits.length ? `first ${hits.length}` : hits.length}`
          )}
        </span>
      )}
      <IconButton icon={ChevronUp} label="Previous hit" hint="Previous hit (N)" disabled={hits.length === 0} onClick={() => go(-1)} />
      <IconButton icon={ChevronDown} label="Next hit" hint="Next hit (n)" disabled={hits.length === 0} onClick={() => go(1)} />
    </form>
  )
}

/** What was run, with its times; one that is chosen is played. */
export function Commands({ commands, time, onSeek }: { commands: readonly Marker[]; time: number; onSeek: (seconds: number) => void }) {
  const at = hitAt(commands, time)
  return (
    <details className="border-t px-3 py-2">
      <summary className="cursor-pointer rounded text-xs text-muted hover:text-fg">
        {commands.length >= 1000 ? 'The first 1000 commands' : commands.length === 1 ? '1 command' : `${commands.length} commands`}, as the screen showed them
      </summary>
      <ol data-scrollable className="mt-2 max-h-64 overflow-y-auto">
        {commands.map(([seconds, text], index) => (
          <li key={`${seconds} ${text}`}>
            <button
              type="button"
              aria-current={index === at || undefined}
              onClick={() => onSeek(leadTo(seconds))}
              className={cn('flex w-full items-baseline gap-3 rounded px-1 py-1 text-left hover:bg-hover', index === at && 'bg-accent-soft')}
            >
              <span className="w-12 shrink-0 text-right text-xs text-muted tabular-nums">{formatPosition(seconds)}</span>
              <bdi className="min-w-0 font-mono text-xs break-words">{text}</bdi>
            </button>
          </li>
        ))}
      </ol>
    </details>
  )
}
