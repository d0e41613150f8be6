/** Finds what sessions showed and what was run in them, across recordings. */
import { useInfiniteQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { Film, Search, SearchX, SquareTerminal } from 'lucide-react'
import { useEffect, useRef, useState, type FormEvent, type KeyboardEvent } from 'react'
import { useMe } from '@/api/hooks'
import { recordings } from '@/api/hub'
import { hasCode } from '@/api/problem'
import type { RecordingHit, RecordingMatch } from '@/api/types'
import { Button } from '@/components/button'
import { Field, Input } from '@/components/field'
import { DateRangeChip, FilterChip } from '@/components/filters'
import { MatchText } from '@/components/match-text'
import { LINK, Page } from '@/components/page'
import { EmptyState, ErrorState, Skeleton } from '@/components/states'
import { RelativeTime } from '@/components/time'
import { maySearchAll } from '@/lib/access'
import { cn } from '@/lib/cn'
import { count } from '@/lib/format'
import { useChangeSearch } from '@/lib/use-list-search'
import { formatPosition } from '@/player/format'
import type { RecordingsSearch } from '@/router'

const route = getRouteApi('/signed-in/frame/search')

const LEAST = 2
const KINDS = [
  { value: 'command', label: 'Commands' },
  { value: 'output', label: 'Output' },
] as const

export function SearchPage() {
  const everybody = maySearchAll(useMe())
  const search = route.useSearch()
  return (
    <Page
      title="Search"
      description={everybody ? 'What sessions showed, and what was run in them. The ledger notes every search.' : 'What your sessions showed, and what you ran in them. The ledger notes every search.'}
    >
      <SearchForm search={search} everybody={everybody} />
      {search.q && [...search.q].length >= LEAST ? <Results search={search} q={search.q} /> : <Beginning />}
    </Page>
  )
}

const trimmed = (text: string | undefined): string | undefined => text?.trim() || undefined

function SearchForm({ search, everybody }: { search: RecordingsSearch; everybody: boolean }) {
  const change = useChangeSearch<RecordingsSearch>()
  const [draft, setDraft] = useState(search)
  const [short, setShort] = useState(false)
  // Another address is another search: it wins over what is being typed.
  const [shown, setShown] = useState(search)
  if (search !== shown) {
    setShown(search)
    setDraft(search)
    setShort(false)
  }
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    if (!search.q) input.current?.focus()
  }, [search.q])
  const set = (next: Partial<RecordingsSearch>) => setDraft((before) => ({ ...before, ...next }))
  const text = (name: 'user' | 'target' | 'zone', label: string, placeholder: string) => (
    <Field label={label} className="min-w-0">
      <Input value={draft[name] ?? ''} maxLength={200} placeholder={placeholder} onChange={(event) => set({ [name]: event.target.value })} />
    </Field>
  )
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    const q = trimmed(draft.q)
    if (!q || [...q].length < LEAST) {
      setShort(true)
      input.current?.focus()
      return
    }
    change({ ...draft, q, user: trimmed(draft.user), target: trimmed(draft.target), zone: trimmed(draft.zone) })
  }
  return (
    // oxlint-disable-next-line jsx-a11y/prefer-tag-over-role -- a search landmark that is a form
    <form role="search" aria-label="Recordings" onSubmit={onSubmit} className="mb-5 flex flex-col gap-3 rounded-xl border bg-surface p-4 shadow-card">
      <div className={cn('flex flex-wrap gap-2', short ? 'items-center' : 'items-end')}>
        <Field label="Text to find" error={short ? `Type at least ${LEAST} characters.` : undefined} className="min-w-0 flex-1 basis-64">
          <Input
            ref={input}
            type="search"
            value={draft.q ?? ''}
            maxLength={200}
            placeholder="systemctl stop"
            autoComplete="off"
            spellCheck={false}
            onChange={(event) => (setShort(false), set({ q: event.target.value }))}
            onKeyDown={(event) => {
              const first = event.key === 'ArrowDown' ? document.querySelector<HTMLElement>('a[data-hit]') : null
              if (!first) return
              event.preventDefault()
              first.focus()
            }}
            className="font-mono [&::-webkit-search-cancel-button]:hidden"
          />
        </Field>
        <span className="flex flex-wrap items-center gap-2">
          <DateRangeChip label="Dates" value={draft} onChange={({ from, to }) => set({ from, to })} />
          <FilterChip label="Kind" value={draft.kind} options={[...KINDS]} onChange={(kind) => set({ kind })} />
          <Button type="submit" variant="primary" icon={Search}>
            Search
          </Button>
        </span>
      </div>
      <div className={cn('grid grid-cols-2 gap-3', everybody && 'sm:grid-cols-3')}>
        {everybody && text('user', 'User', 'Anybody')}
        {text('target', 'Target', 'Any target')}
        {text('zone', 'Zone', 'Any zone')}
      </div>
      {(search.user_id ?? search.target_id) && (
        <span className="flex flex-wrap gap-2">
          {search.user_id && (
            <FilterChip label="User" value={search.user_id} options={[{ value: search.user_id, label: 'one person' }]} onChange={(user_id) => change({ user_id })} />
          )}
          {search.target_id && (
            <FilterChip label="Target" value={search.target_id} options={[{ value: search.target_id, label: 'one target' }]} onChange={(target_id) => change({ target_id })} />
          )}
        </span>
      )}
    </form>
  )
}

const Beginning = () => (
  <EmptyState icon={Search} title="Find a moment in a recording">
    Lines that the screen showed, and commands as they stood there when Enter was pressed. Commands are recognised as well as the screen tells: what a full-screen
    program ran is not among them. What was typed without being shown is never found.
  </EmptyState>
)

/** The beginning of a day, in the time zone of who looks; `after` is that of the next one. */
function dayStart(day: string | undefined, after = 0): string | undefined {
  if (!day) return undefined
  const [year = 0, month = 1, date = 1] = day.split('-').map(Number)
  return new Date(year, month - 1, date + after).toISOString()
}

function Results({ search, q }: { search: RecordingsSearch; q: string }) {
  const { from, to, ...filters } = search
  const query = useInfiniteQuery(recordings.search({ ...filters, q, from: dayStart(from), to: dayStart(to, 1) }))
  const pages = query.data?.pages ?? []
  const items = pages.flatMap((page) => page.items)
  const unindexed = pages[0]?.unindexed ?? 0
  const partial = pages[0]?.partial ?? 0
  const unseen = pages[0]?.unseen ?? 0
  const list = useRef<HTMLUListElement>(null)
  if (query.isPending) return <Loading />
  if (query.isError && items.length === 0) {
    return hasCode(query.error, 'search_too_broad') ? (
      <EmptyState
        icon={SearchX}
        title="The search took too long"
        action={
          <Button icon={Search} onClick={() => void query.refetch()}>
            Try again
          </Button>
        }
      >
        Narrow it: a shorter period, a target, a user, or more letters. <code className="font-mono text-2xs">search_too_broad</code>
      </EmptyState>
    ) : (
      <ErrorState error={query.error} onRetry={() => void query.refetch()} />
    )
  }
  const behind = (unindexed > 0 || partial > 0 || unseen > 0) && (
    <div role="note" className="text-xs text-muted">
      {unindexed > 0 && (
        <p>
          {count(unindexed, 'recording')} cannot be searched to {unindexed === 1 ? 'its' : 'their'} end yet; running sessions count too.
        </p>
      )}
      {partial > 0 && (
        <p>
          In {count(partial, 'recording')} something may not be found: output was too fast, too much or too long, what was entered did not show, or a part is damaged.
        </p>
      )}
      {unseen > 0 && (
        <p>
          In {count(unseen, 'recording')} something was entered at a prompt that does not show it, as a password. That is never found.
        </p>
      )}
    </div>
  )
  if (items.length === 0) {
    return (
      <EmptyState icon={SearchX} title="Nothing was found">
        No recording that you may play showed “{q}” with these filters. {behind}
      </EmptyState>
    )
  }
  /** Down and up go from hit to hit. */
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return
    const links = [...(list.current?.querySelectorAll<HTMLElement>('a[data-hit]') ?? [])]
    const at = links.indexOf(document.activeElement as HTMLElement)
    const next = links[at + (event.key === 'ArrowDown' ? 1 : -1)]
    if (!next) return
    event.preventDefault()
    next.focus()
  }
  return (
    <div className="flex flex-col gap-3">
      <div className="flex flex-wrap items-baseline justify-between gap-2" role="status">
        <p className="text-sm text-muted">
          {query.hasNextPage ? `The newest ${count(items.length, 'session')}` : count(items.length, 'session')} with “{q}”
        </p>
        {behind}
      </div>
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- the links in it take the keys */}
      <ul ref={list} onKeyDown={onKeyDown} className="flex flex-col gap-3" aria-label="Sessions that match">
        {items.map((match) => (
          <Match key={match.session_id} match={match} q={q} />
        ))}
      </ul>
      {query.isError && <ErrorState error={query.error} onRetry={() => void query.fetchNextPage()} className="py-6" />}
      {query.hasNextPage && !query.isError && (
        <Button className="self-center" busy={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
          Show older sessions
        </Button>
      )}
    </div>
  )
}

function Match({ match, q }: { match: RecordingMatch; q: string }) {
  const more = match.count - match.hits.length
  return (
    <li className="overflow-hidden rounded-xl border bg-surface shadow-card">
      <div className="flex flex-wrap items-baseline gap-x-2 gap-y-0.5 border-b bg-sunken px-4 py-2 text-sm">
        <Link to="/sessions/$id" params={{ id: match.session_id }} className={`${LINK} font-medium`}>
          {match.target_name}
        </Link>
        <span className="min-w-0 break-words text-muted">
          {match.user_name}
          {match.zone_name && ` · ${match.zone_name}`}
        </span>
        <span className="ml-auto text-xs text-muted">
          <RelativeTime time={match.started_at} />
        </span>
      </div>
      <ul className="divide-y">
        {match.hits.map((hit) => (
          <Hit key={`${hit.at} ${hit.text}`} id={match.session_id} hit={hit} q={q} />
        ))}
      </ul>
      {more > 0 && (
        <Link
          to="/sessions/$id"
          params={{ id: match.session_id }}
          search={{ t: moment(match.hits[0]?.at ?? 0), find: q }}
          className="block border-t px-4 py-2 text-xs text-accent-text hover:bg-hover hover:underline"
        >
          {match.count >= 1000 ? 'Many more lines' : `${count(more, 'more line')}`} of this session
        </Link>
      )}
    </li>
  )
}

/** The moment of a hit, as an address has it: the player stops where the screen shows it. */
const moment = (at: number): number => Math.floor(at * 1000) / 1000

function Hit({ id, hit, q }: { id: string; hit: RecordingHit; q: string }) {
  const Icon = hit.kind === 'command' ? SquareTerminal : Film
  return (
    <li>
      <Link
        data-hit
        to="/sessions/$id"
        params={{ id }}
        search={{ t: moment(hit.at), find: q }}
        className="flex items-baseline gap-3 px-4 py-1.5 hover:bg-hover focus-visible:bg-hover"
      >
        <span className="sr-only">{hit.kind === 'command' ? 'Command at' : 'Output at'}</span>
        <span className="w-14 shrink-0 text-right text-xs text-muted tabular-nums">{formatPosition(hit.at)}</span>
        <Icon aria-hidden className="size-3.5 shrink-0 self-center text-faint" />
        <span className="min-w-0 flex-1 font-mono text-xs leading-relaxed">
          <MatchText hit={hit} />
        </span>
      </Link>
    </li>
  )
}

const Loading = () => (
  <div role="status" aria-label="Searching" className="flex flex-col gap-3">
    {[0, 1, 2].map((row) => (
      <Skeleton key={row} className="h-24 rounded-xl" />
    ))}
  </div>
)
