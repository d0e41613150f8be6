/** Finding text in one recording, and the commands that were run in it. */
import { useQuery } from '@tanstack/react-query'
import { ChevronDown, ChevronUp, Search } from 'lucide-react'
import { useMemo, useState, type FormEvent, type KeyboardEvent, type RefObject } from 'react'
import { recordings } from '@/api/hub'
import { ApiProblem } from '@/api/problem'
import { IconButton } from '@/components/button'
import { cn } from '@/lib/cn'
import { formatPosition, type Marker } from './format'

const LEAST = 2
/** A command is shown from a moment before it on, so that it is seen to come. */
const LEAD_SECONDS = 1

const leadTo = (at: number): number => Math.max(0, at - LEAD_SECONDS)

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
  // The same for the same answer: whoever stopped at one is still there when it is asked for again.
  const hits = useMemo(() => (data?.hits ?? []).map((hit): Marker => [hit.at, hit.text]), [data])
  return { hits, count: data?.count ?? 0, pending: query.fetchStatus === 'fetching', error }
}

/** What of these one is at or behind: the last one before now. */
export const placeAt = (places: readonly Marker[], time: number): number => places.findLastIndex(([at]) => at <= time + 0.002)

/** The next one in this direction, around the end; from before the first one on that is the first, or the last. */
export const placeFrom = (count: number, at: number, direction: 1 | -1): number =>
  at < 0 ? (direction > 0 ? 0 : count - 1) : (at + direction + count) % count

interface FindBoxProps {
  input: RefObject<HTMLInputElement | null>
  text: string | undefined
  found: Found
  /** The hit that the player is at, and none before the first. */
  at: number
  onText: (text: string | undefined) => void
  onGo: (direction: 1 | -1) => void
  /** Gives the keyboard back. */
  onLeave: () => void
}

export function FindBox({ input, text, found, at, onText, onGo, onLeave }: FindBoxProps) {
  const [draft, setDraft] = useState(text ?? '')
  // Another search, from elsewhere, wins over what is being typed.
  const [shown, setShown] = useState(text)
  if (text !== shown) {
    setShown(text)
    setDraft(text ?? '')
  }
  const { hits } = found
  const change = (next: string) => {
    setDraft(next)
    // An empty field looks for nothing: no count and no places are left of what stood there.
    if (next.trim() === '' && text !== undefined) onText(undefined)
  }
  const submit = (direction: 1 | -1) => {
    const next = draft.trim()
    if (next !== (text ?? '')) onText(next || undefined)
    else onGo(direction)
  }
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    submit(1)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && event.shiftKey) {
      event.preventDefault()
      submit(-1)
    }
    if (event.key === 'Escape') {
      event.preventDefault()
      if (draft === '') onLeave()
      else change('')
    }
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
          onChange={(event) => change(event.target.value)}
          onKeyDown={onKeyDown}
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
      <IconButton icon={ChevronUp} label="Previous hit" hint="Previous hit (N, Shift Enter)" disabled={hits.length === 0} onClick={() => onGo(-1)} />
      <IconButton icon={ChevronDown} label="Next hit" hint="Next hit (n, Enter)" disabled={hits.length === 0} onClick={() => onGo(1)} />
    </form>
  )
}

/** What was run, with its times; one that is chosen is played. */
export function Commands({ commands, time, onSeek }: { commands: readonly Marker[]; time: number; onSeek: (seconds: number) => void }) {
  const at = commands.findLastIndex(([seconds]) => leadTo(seconds) <= time + 0.05)
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
