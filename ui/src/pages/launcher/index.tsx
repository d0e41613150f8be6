import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { LayoutGrid, Megaphone, SearchX } from 'lucide-react'
import { useCallback, useEffect, useMemo, useRef, type KeyboardEvent } from 'react'
import { motdQuery, useMe } from '@/api/hooks'
import { launchTargets, targets as adminTargets } from '@/api/hub'
import type { LaunchTarget } from '@/api/types'
import { Button, buttonClass } from '@/components/button'
import { FilterChip, SearchInput, ToggleChip } from '@/components/filters'
import { Page, Tabs } from '@/components/page'
import { EmptyState, ErrorState, Skeleton } from '@/components/states'
import { Keys } from '@/components/tip'
import { may } from '@/lib/access'
import type { LauncherSearch } from '@/router'
import { keyOnPage } from './keys'
import { OpenSessionsHint } from './open-sessions'
import { TargetRow } from './target-row'
import { useConnect } from './use-connect'

const route = getRouteApi('/signed-in/frame/')

/** The targets one may open; typing filters, arrows choose, Enter connects. */
export function LauncherPage() {
  const me = useMe()
  const search = route.useSearch()
  const navigate = route.useNavigate()
  const list = useRef<HTMLUListElement>(null)
  const input = useRef<HTMLInputElement>(null)
  const { connect, prompt } = useConnect()
  const change = useCallback(
    (next: Partial<LauncherSearch>) => void navigate({ search: (before) => ({ ...before, ...next }), replace: true }),
    [navigate],
  )
  /** The text that Enter was pressed for. */
  const wanted = useRef<string | null>(null)
  const setText = useCallback(
    (q: string | undefined) => {
      if (wanted.current !== (q ?? '')) wanted.current = null
      change({ q })
    },
    [change],
  )

  const query = useInfiniteQuery(launchTargets.list({ ...search, sort: search.sort ?? 'recent' }))
  // The filters offer what there is without filters, so that choosing one does not empty the others.
  const all = useInfiniteQuery(launchTargets.list({ sort: 'recent' }))
  const everything = useMemo(() => all.data?.pages.flatMap((page) => page.items) ?? [], [all.data])
  const found = query.data?.pages.flatMap((page) => page.items) ?? []
  const filtered = Boolean(search.q || search.zone_id || search.tag || search.favorite)

  const zones = useMemo(
    () => [...new Map(everything.map(({ zone }) => [zone.id, { value: zone.id, label: zone.name }])).values()],
    [everything],
  )
  const tags = useMemo(
    () => [...new Set(everything.flatMap((target) => target.tags))].toSorted().map((tag) => ({ value: tag, label: tag })),
    [everything],
  )

  // INVARIANT: what Enter opens is what was typed. Where the list does not follow the text yet, Enter waits for it.
  const follows = (text: string | null) => !query.isPlaceholderData && !query.isFetching && (search.q ?? '') === text
  useEffect(() => {
    if (wanted.current === null || !follows(wanted.current)) return
    const stays = input.current?.value.trim() === wanted.current
    wanted.current = null
    if (stays && found[0]) connect(found[0])
  })

  const onKeyDown = (event: KeyboardEvent) => {
    const rows = [...(list.current?.querySelectorAll<HTMLButtonElement>('[data-connect]') ?? [])]
    const at = rows.indexOf(document.activeElement as HTMLButtonElement)
    const typing = document.activeElement === input.current
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      if (!typing && at < 0) return
      event.preventDefault()
      const next = at + (event.key === 'ArrowDown' ? 1 : -1)
      if (next < 0) input.current?.focus()
      else rows[Math.min(next, rows.length - 1)]?.focus()
    } else if (event.key === 'Enter' && typing) {
      event.preventDefault()
      const text = input.current?.value.trim() ?? ''
      if (!follows(text)) wanted.current = text
      else if (found[0]) connect(found[0])
    } else if (event.key === '/' && at >= 0) {
      event.preventDefault()
      input.current?.focus()
    }
  }

  useEffect(() => {
    // Wherever the focus is: after signing in, a reload, or a click beside everything it is on the page itself.
    const press = (event: globalThis.KeyboardEvent) => {
      const act = keyOnPage(event)
      if (act === 'first') list.current?.querySelector<HTMLButtonElement>('[data-connect]')?.focus()
      // A letter goes on into the field that has the focus from now on.
      else if (act) input.current?.focus()
      if (act === 'first' || act === 'search') event.preventDefault()
    }
    document.addEventListener('keydown', press)
    return () => document.removeEventListener('keydown', press)
  }, [list, input])

  const favorites = filtered || search.sort === 'name' ? [] : found.filter((target) => target.favorite)
  const rest = favorites.length > 0 ? found.filter((target) => !target.favorite) : found
  const recent = filtered || search.sort === 'name' ? [] : rest.filter((target) => target.last_used_at).slice(0, 6)
  const others = recent.length > 0 ? rest.filter((target) => !recent.includes(target)) : rest

  return (
    <Page title="Launcher" description="Pick a machine; you are logged in without ever seeing its password.">
      <MessageOfTheDay />
      <OpenSessionsHint />
      {/* oxlint-disable-next-line jsx-a11y/no-static-element-interactions -- arrows move between the controls inside */}
      <div onKeyDown={onKeyDown}>
        <div className="mb-4 flex flex-wrap items-center gap-2">
          <SearchInput ref={input} value={search.q} onChange={setText} placeholder="Find a target…" className="sm:w-80" />
          <ToggleChip label="Favourites" on={search.favorite === true} onChange={(on) => change({ favorite: on || undefined })} />
          {zones.length > 1 || search.zone_id ? (
            <FilterChip label="Zone" value={search.zone_id} options={zones} onChange={(zone_id) => change({ zone_id })} />
          ) : null}
          {tags.length > 0 || search.tag ? (
            <FilterChip label="Tag" value={search.tag} options={tags} onChange={(tag) => change({ tag })} />
          ) : null}
          <span className="flex-1" />
          <Tabs
            label="Order"
            value={search.sort ?? 'recent'}
            onChange={(sort) => change({ sort: sort === 'recent' ? undefined : sort })}
            tabs={[
              { value: 'recent', label: 'Recent' },
              { value: 'name', label: 'Name' },
            ]}
          />
        </div>

        {query.isPending && <LauncherSkeleton />}
        {query.isError && !query.data && <ErrorState error={query.error} onRetry={() => void query.refetch()} />}
        {query.data && found.length === 0 && (filtered ? <NoMatch onClear={() => void navigate({ search: {}, replace: true })} /> : me.oidc_groups_overage ? <TooManyGroups /> : <NoTargets />)}
        {found.length > 0 && (
          <div ref={list as never} className="flex flex-col gap-6">
            <Group heading="Favourites" targets={favorites} onConnect={connect} />
            <Group heading="Recent" targets={recent} onConnect={connect} />
            <Group heading={favorites.length + recent.length > 0 ? 'All others' : undefined} targets={others} onConnect={connect} />
          </div>
        )}
        {query.hasNextPage && (
          <Button className="mt-4" busy={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
            Show more
          </Button>
        )}
        {found.length > 0 && (
          <p className="mt-6 hidden flex-wrap gap-x-4 gap-y-1 text-xs text-faint sm:flex">
            <span><Keys>↑</Keys> <Keys>↓</Keys> choose</span>
            <span><Keys>Enter</Keys> connect</span>
            <span><Keys>/</Keys> search</span>
          </p>
        )}
      </div>
      {prompt}
      {may(me, 'administer') && query.data && !filtered && found.length === 0 && <FirstStartHint />}
    </Page>
  )
}

/** What an administrator tells everybody; plain text. */
function MessageOfTheDay() {
  const text = useQuery(motdQuery).data?.motd
  if (!text) return null
  return (
    <aside aria-label="Message of the day" className="mb-4 flex gap-3 rounded-xl border bg-surface px-4 py-3 text-sm shadow-card">
      <Megaphone aria-hidden className="mt-0.5 size-4 shrink-0 text-muted" />
      <p className="min-w-0 break-words whitespace-pre-wrap">{text}</p>
    </aside>
  )
}

function Group({ heading, targets, onConnect }: { heading?: string; targets: LaunchTarget[]; onConnect: ReturnType<typeof useConnect>['connect'] }) {
  if (targets.length === 0) return null
  return (
    <section aria-label={heading ?? 'Targets'}>
      {heading && <h2 className="mb-1.5 px-1 text-xs font-medium text-muted">{heading}</h2>}
      <ul className="overflow-hidden rounded-xl border bg-surface shadow-card">
        {targets.map((target) => (
          <TargetRow key={target.id} target={target} onConnect={onConnect} />
        ))}
      </ul>
    </section>
  )
}

const NoMatch = ({ onClear }: { onClear: () => void }) => (
  <EmptyState icon={SearchX} title="No target matches" action={<Button onClick={onClear}>Clear all filters</Button>}>
    Search looks at names, addresses, descriptions and tags.
  </EmptyState>
)

const NoTargets = () => (
  <EmptyState icon={LayoutGrid} title="No targets are open to you yet">
    A target appears here once an administrator gives one of your groups access to it.
  </EmptyState>
)

/** Whom nothing is open to because the provider did not say which groups they are in. */
const TooManyGroups = () => (
  <EmptyState icon={LayoutGrid} title="Your groups are not known here">
    You are in more directory groups than the provider puts into a sign-in, so what they would open is missing. Ask your
    administrator to limit the groups sent to this application, then sign in again.
  </EmptyState>
)

/** On an empty system an administrator is led through the first steps. */
function FirstStartHint() {
  const some = useQuery(adminTargets.all())
  if (some.data?.length !== 0) return null
  return (
    <div className="mx-auto -mt-8 flex justify-center">
      <Link to="/setup" className={buttonClass({ variant: 'primary', size: 'lg' })}>
        Set up the first target
      </Link>
    </div>
  )
}

const LauncherSkeleton = () => (
  <div role="status" aria-label="Loading" className="overflow-hidden rounded-xl border bg-surface">
    {Array.from({ length: 7 }, (_, row) => (
      <div key={row} className="flex h-14 items-center gap-4 border-b px-4 last:border-0">
        <Skeleton className="size-8 rounded-lg" />
        <Skeleton className="w-48" />
        <Skeleton className="ml-auto w-24" />
      </div>
    ))}
  </div>
)
