import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import type { ColumnDef } from '@tanstack/react-table'
import { Activity, CircleStop, Eye, History, Play, MonitorPlay, UserPlus } from 'lucide-react'
import { useCallback, useMemo, useState } from 'react'
import { useMe } from '@/api/hooks'
import { launchTargets, sessions, targets, users } from '@/api/hub'
import type { Session } from '@/api/types'
import { SessionBadge } from '@/components/badge'
import { buttonClass } from '@/components/button'
import { DataTable, ROW_LINK } from '@/components/data-table'
import { DateRangeChip, FilterChip, SearchInput } from '@/components/filters'
import { MenuItem, MoreMenu } from '@/components/menu'
import { NamedCell } from '@/components/named-cell'
import { Page } from '@/components/page'
import { EmptyState } from '@/components/states'
import { Elapsed, RelativeTime } from '@/components/time'
import { may, mayEndAny, mayJoin, mayPlay, maySearchAll, mayWatch } from '@/lib/access'
import { useAttended } from '@/lib/attention'
import { formatBytes, personName } from '@/lib/format'
import { dayEnd, dayStart, PERIOD_OPTIONS, periodStart, useChangeSearch } from '@/lib/use-list-search'
import { neverOpened } from '@/lib/sessions'
import type { SessionsSearch } from '@/router'
import { EndSessionDialog } from './end'

const mine = getRouteApi('/signed-in/frame/my-sessions')
const all = getRouteApi('/signed-in/frame/sessions')

const NEWEST_FIRST = [{ id: 'start', desc: true }]
const STATUSES = [
  { value: 'active', label: 'Active' },
  { value: 'completed', label: 'Completed' },
  { value: 'failed', label: 'Failed' },
  { value: 'terminated', label: 'Ended early' },
] as const

/** What is kept of sessions' recordings: what each session says of itself, and what those may know who play every recording. */
const RECORDED = [
  { value: 'recorded', label: 'Recorded' },
  { value: 'not_recorded', label: 'Not recorded' },
] as const
const KEPT = [
  ...RECORDED,
  { value: 'held', label: 'On hold' },
  { value: 'damaged', label: 'Found damaged' },
  { value: 'deleted', label: 'Recording deleted' },
] as const

/** Whether a session was recorded, and what there is to know of that. */
function RecordedCell({ session, playable }: { session: Session; playable: boolean }) {
  return (
    <span className="flex min-w-0 flex-col">
      <RecordedMark session={session} playable={playable} />
      {session.recording_defect && (
        <span className="truncate text-xs text-danger-text" title={session.recording_defect}>
          Damaged
        </span>
      )}
      {session.recording_held && <span className="text-xs text-muted">On hold</span>}
    </span>
  )
}

/** Whether a session was recorded; leads to the player for those who may play it. */
function RecordedMark({ session, playable }: { session: Session; playable: boolean }) {
  if (session.recording_path === null) return <span className="text-faint">No</span>
  if (neverOpened(session)) return <span className="text-faint">Nothing to show</span>
  // Red is what is being recorded now.
  const dot = session.status === 'active' && <span aria-hidden className="size-1.5 rounded-full bg-danger" />
  const word = session.status === 'active' ? 'Recording' : 'Recorded'
  if (!playable) return <span className="flex items-center gap-1.5">{dot} {word}</span>
  return (
    <Link
      to="/sessions/$id"
      params={{ id: session.id }}
      search={{ t: 0 }}
      state={{ play: true }}
      aria-label={`${word}: play the recording of the session on ${session.target_name}`}
      className="relative z-10 flex w-fit items-center gap-1.5 rounded text-accent-text hover:underline"
    >
      {dot} {word}
    </Link>
  )
}

/** The sessions of the person who looks. */
export function MySessionsPage() {
  const me = useMe()
  const search = mine.useSearch()
  return (
    <Page title="My sessions" description="Every connection you opened, newest first.">
      <SessionList search={search} userId={me.user.id} />
    </Page>
  )
}

/** Everybody's sessions, for those who watch over them. */
export function AllSessionsPage() {
  const search = all.useSearch()
  return (
    <Page title="Sessions" description="Every connection of everybody, newest first. The list follows what happens.">
      <SessionList search={search} />
    </Page>
  )
}

/** What a filter offers: what there is, as far as one may know, and what the sessions that are shown have. */
function optionsOf(there: { id: string; name: string }[], list: Session[], of: (session: Session) => [string | null, string]) {
  const shown = list.map(of).flatMap(([value, label]) => (value === null ? [] : [[value, label] as const]))
  const found = new Map([...shown, ...there.map(({ id, name }) => [id, name] as const)])
  return [...found].map(([value, label]) => ({ value, label })).toSorted((a, b) => a.label.localeCompare(b.label))
}

const NOTHING: never[] = []

/** People and targets to choose from: all there are, not only those of the sessions that are read so far. */
function useChoices(shown: Session[], mineOnly: boolean) {
  const me = useMe()
  const people = useQuery({ ...users.all(), enabled: !mineOnly && may(me, 'see-people') }).data ?? NOTHING
  const machines = useQuery({ ...targets.all(), enabled: !mineOnly && may(me, 'see-infrastructure') }).data ?? NOTHING
  const own = useInfiniteQuery({ ...launchTargets.list(), enabled: mineOnly }).data?.pages ?? NOTHING
  return {
    targets: useMemo(
      () => optionsOf(mineOnly ? own.flatMap(({ items }) => items) : machines, shown, (session) => [session.target_id, session.target_name]),
      [mineOnly, own, machines, shown],
    ),
    users: useMemo(
      () => optionsOf(people.map((user) => ({ id: user.id, name: personName(user) })), shown, (session) => [session.user_id, session.user_name]),
      [people, shown],
    ),
  }
}

/** What is chosen stays on offer where no session that is shown has it. */
const withChosen = (options: { value: string; label: string }[], chosen: string | undefined, label: string) =>
  chosen === undefined || options.some(({ value }) => value === chosen) ? options : [{ value: chosen, label }, ...options]

/** How it ended, in a word: the program's exit status or signal, or the code of what ended it. */
const exitOf = (session: Session): string => {
  if (session.status === 'active') return '–'
  if (session.error_code) return session.error_code.replaceAll('_', ' ')
  if (session.exit_signal) return `signal ${session.exit_signal}`
  return session.exit_status === null ? 'left' : `exit ${session.exit_status}`
}

function SessionList({ search, userId }: { search: SessionsSearch; userId?: string }) {
  const me = useMe()
  const change = useChangeSearch<SessionsSearch>()
  const [ending, setEnding] = useState<Session | null>(null)
  const from = useMemo(() => dayStart(search.from) ?? periodStart(search.since), [search.from, search.since])
  const to = dayEnd(search.to)
  const attended = useAttended()
  const query = useInfiniteQuery({
    ...sessions.list({
      q: search.q,
      status: search.status,
      target_id: search.target_id,
      user_id: userId ?? search.user_id,
      recording: search.recording,
      from,
      to,
    }),
    // Beginnings and ends are told as they happen; this is for what is not: the bytes of those that go on, and that the
    // sign-in has ended.
    refetchInterval: attended && 10_000,
  })
  const setText = useCallback((q: string | undefined) => change({ q }), [change])
  const shown = useMemo(() => query.data?.pages.flatMap(({ items }) => items) ?? [], [query.data])
  const choices = useChoices(shown, userId !== undefined)
  const columns = useMemo(() => {
    const list: ColumnDef<Session>[] = [
      {
        id: 'target',
        header: 'Target',
        accessorFn: (session) => session.target_name,
        enableHiding: false,
        cell: ({ row: { original: session } }) => (
          <NamedCell
            under={
              <>
                {userId === undefined && <span className="sm:hidden">{session.user_name} · </span>}
                <span className="sm:hidden">
                  <RelativeTime time={session.start_time} /> ·{' '}
                </span>
                {session.credential_name}
              </>
            }
          >
            <Link to="/sessions/$id" params={{ id: session.id }} className={ROW_LINK}>
              {session.target_name}
            </Link>
          </NamedCell>
        ),
      },
      ...(userId === undefined
        ? [{ id: 'user', header: 'User', accessorFn: (session: Session) => session.user_name, meta: { from: 'sm' }, cell: ({ row: { original: session } }) => <NamedCell under={session.reason && <span title={session.reason}>{session.reason}</span>}><span className="block truncate">{session.user_name}</span></NamedCell> } satisfies ColumnDef<Session>]
        : []),
      {
        id: 'status',
        header: 'State',
        accessorFn: (session) => session.status,
        meta: { className: 'w-28' },
        cell: ({ row }) => <SessionBadge status={row.original.status} />,
      },
      {
        id: 'start',
        header: 'Started',
        accessorFn: (session) => session.start_time,
        meta: { className: 'w-28', from: 'sm' },
        cell: ({ row }) => <RelativeTime time={row.original.start_time} />,
      },
      {
        id: 'duration',
        header: 'Duration',
        enableSorting: false,
        meta: { className: 'w-24', from: 'md' },
        cell: ({ row }) => <Elapsed from={row.original.start_time} to={row.original.end_time} />,
      },
      {
        id: 'bytes',
        header: 'Traffic',
        accessorFn: (session) => session.bytes_received + session.bytes_sent,
        meta: { className: 'w-24 tabular-nums', from: '2xl' },
        cell: ({ row }) => formatBytes(row.original.bytes_received + row.original.bytes_sent),
      },
      {
        id: 'exit',
        header: 'Exit',
        accessorFn: exitOf,
        meta: { className: 'w-44', from: 'lg' },
        cell: ({ row }) => (
          <span className="truncate text-muted" title={exitOf(row.original)}>
            {exitOf(row.original)}
          </span>
        ),
      },
      {
        id: 'recorded',
        header: 'Recorded',
        enableSorting: false,
        meta: { className: 'w-28', from: 'md' },
        cell: ({ row: { original: session } }) => <RecordedCell session={session} playable={mayPlay(me, session.user_id)} />,
      },
      {
        id: 'address',
        header: 'From',
        accessorFn: (session) => session.client_ip ?? '',
        meta: { from: 'xl', className: 'w-32' },
        cell: ({ row }) => <code className="truncate font-mono text-xs text-muted">{row.original.client_ip ?? '–'}</code>,
      },
      {
        id: 'actions',
        header: '',
        enableHiding: false,
        enableSorting: false,
        meta: { className: 'w-12' },
        cell: ({ row: { original: session } }) => (
          <MoreMenu label={`Actions for the session on ${session.target_name}`}>
            <MenuItem asChild>
              <Link to="/sessions/$id" params={{ id: session.id }}>
                <Eye aria-hidden className="size-4 opacity-70" /> Show details
              </Link>
            </MenuItem>
            {session.recording_path !== null && !neverOpened(session) && mayPlay(me, session.user_id) && (
              <MenuItem asChild>
                <Link to="/sessions/$id" params={{ id: session.id }} search={{ t: 0 }} state={{ play: true }}>
                  <Play aria-hidden className="size-4 opacity-70" /> Play recording
                </Link>
              </MenuItem>
            )}
            {session.status === 'active' && session.protocol === 'ssh' && mayWatch(me) && (
              <MenuItem asChild>
                <Link to="/watch/$id" params={{ id: session.id }}>
                  <MonitorPlay aria-hidden className="size-4 opacity-70" /> Watch
                </Link>
              </MenuItem>
            )}
            {session.status === 'active' && session.protocol === 'ssh' && session.user_id !== me.user.id && mayJoin(me) && (
              <MenuItem asChild>
                <Link to="/watch/$id" params={{ id: session.id }} search={{ mode: 'join' }}>
                  <UserPlus aria-hidden className="size-4 opacity-70" /> Join
                </Link>
              </MenuItem>
            )}
            {session.status === 'active' && (session.user_id === me.user.id || mayEndAny(me)) && (
              <MenuItem icon={CircleStop} danger onSelect={() => setEnding(session)}>
                End…
              </MenuItem>
            )}
          </MoreMenu>
        ),
      },
    ]
    return list
  }, [userId, me])

  const filtered = search.q ?? search.status ?? search.since ?? search.from ?? search.to ?? search.target_id ?? search.recording ?? (userId ? undefined : search.user_id)
  return (
    <>
      <DataTable
        name={userId ? 'my-sessions' : 'sessions'}
        label="Sessions"
        query={query}
        columns={columns}
        rowId={(session) => session.id}
        order={NEWEST_FIRST}
        toolbar={
          <>
            <SearchInput value={search.q} onChange={setText} placeholder="Find a session…" />
            <FilterChip label="State" value={search.status} options={[...STATUSES]} onChange={(status) => change({ status })} />
            {search.from === undefined && search.to === undefined && (
              <FilterChip label="Period" value={search.since} options={[...PERIOD_OPTIONS]} onChange={(since) => change({ since })} />
            )}
            <DateRangeChip label="Dates" value={search} onChange={({ from: first, to: last }) => change({ from: first, to: last, since: undefined })} />
            <FilterChip label="Target" value={search.target_id} options={withChosen(choices.targets, search.target_id, 'this target')} onChange={(target_id) => change({ target_id })} />
            <FilterChip
              label="Recording"
              value={search.recording}
              options={userId === undefined && maySearchAll(me) ? [...KEPT] : [...RECORDED]}
              onChange={(recording) => change({ recording })}
            />
            {userId === undefined && (
              <FilterChip label="User" value={search.user_id} options={withChosen(choices.users, search.user_id, 'this person')} onChange={(user_id) => change({ user_id })} />
            )}
          </>
        }
        empty={
          filtered ? (
            <EmptyState icon={Activity} title="No session matches">
              Try another word or state, or a longer period.
            </EmptyState>
          ) : (
            <EmptyState
              icon={History}
              title={userId ? 'You have not opened a session yet' : 'There are no sessions yet'}
              action={
                <Link to="/" className={buttonClass({ variant: 'primary' })}>
                  Open the launcher
                </Link>
              }
            >
              A session appears here as soon as a connection is opened.
            </EmptyState>
          )
        }
      />
      {ending && <EndSessionDialog session={ending} onClose={() => setEnding(null)} />}
    </>
  )
}
