/** What a session left: whether it was recorded, whether that is intact, and a player for it. */
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, useRouter, useRouterState } from '@tanstack/react-router'
import { Circle, CircleOff, Download, Film, Play, RefreshCw, ShieldAlert, ShieldCheck, ShieldQuestion } from 'lucide-react'
import { lazy, Suspense, useMemo, useState, type ReactNode } from 'react'
import { recordings } from '@/api/hub'
import { hasCode } from '@/api/problem'
import type { Recording, Session } from '@/api/types'
import { Badge } from '@/components/badge'
import { Button, buttonClass } from '@/components/button'
import { Card, Fact, Facts } from '@/components/page'
import { EmptyState, ErrorState, Skeleton } from '@/components/states'
import { useAttended } from '@/lib/attention'
import { count, formatBytes, formatDuration } from '@/lib/format'
import { useChangeSearch } from '@/lib/use-list-search'
import type { SessionSearch } from '@/router'
import { formatPosition } from '@/player/format'
import type { Activity } from '@/player/timeline'
import { Purged, Retention } from './retention'

const Player = lazy(() => import('@/player/player'))
const route = getRouteApi('/signed-in/frame/sessions/$id')

/** The recording of a session, for those who may play it. */
export function RecordingCard({ session }: { session: Session }) {
  if (session.recording_path === null) return <NotRecorded session={session} />
  return (
    <div className="flex flex-col gap-4">
      <Recorded session={session} />
      <Retention session={session} />
    </div>
  )
}

const NotRecorded = ({ session }: { session: Session }) => (
  <Card title="Recording">
    <EmptyState icon={CircleOff} title={session.status === 'active' ? 'This session is not recorded' : 'This session was not recorded'} className="py-8">
      What it showed and what was typed is not kept. What the ledger says about it is.
    </EmptyState>
  </Card>
)

function Recorded({ session }: { session: Session }) {
  const attended = useAttended()
  const running = session.status === 'active'
  const query = useQuery({
    ...recordings.one(session.id),
    refetchInterval: ({ state }) => attended && state.data !== undefined && refreshAfter(state.data),
  })
  const { data } = query
  if (hasCode(query.error, 'recording_purged')) return <Purged />
  if (!data) {
    return (
      <Card title="Recording">
        {query.isPending ? (
          <div role="status" aria-label="Loading" className="flex flex-col gap-3 py-2">
            <Skeleton className="w-56" />
            <Skeleton className="h-40 rounded-lg" />
          </div>
        ) : (
          <Unreadable error={query.error} onRetry={() => void query.refetch()} />
        )}
      </Card>
    )
  }
  return <Readable key={session.id} session={session} recording={data} running={running} onRefresh={() => void query.refetch()} />
}

/** Milliseconds after which there may be news; `false` where there is none to come. */
function refreshAfter({ state, segments, verification }: Recording): number | false {
  if (verification.checked_at === null && verification.verdict !== 'not_done') return 1_000
  // Its segments are stored every few seconds, and it is closed soon after the session's end.
  if (state === 'recording') return segments.length === 0 ? 5_000 : 20_000
  return verification.verdict === 'not_done' ? 20_000 : false
}

/** The recording was there, and is not, or not for this person. */
function Unreadable({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  if (hasCode(error, 'not_found')) {
    return (
      <EmptyState icon={CircleOff} title="You may not see this recording" className="py-8">
        Your roles do not include it, or it is no longer kept.
      </EmptyState>
    )
  }
  return <ErrorState error={error} onRetry={onRetry} className="py-8" />
}

interface ReadableProps {
  session: Session
  recording: Recording
  running: boolean
  onRefresh: () => void
}

function Readable({ session, recording, running, onRefresh }: ReadableProps) {
  const { t, find } = route.useSearch()
  const linked = useRouterState({ select: ({ location }) => location.state.play === true })
  const [play, setPlay] = useState(linked)
  const length = recording.segments.length
  // What is played stays what it was: more that is stored meanwhile is played when it is asked for.
  const [loaded, setLoaded] = useState(length)
  const change = useChangeSearch<SessionSearch>()
  const router = useRouter()
  const open = recording.state === 'recording'
  const stored = recording.segments.length > 0
  const activity = useMemo(
    () => recording.segments.map((segment): Activity => ({ from: segment.from_us / 1e6, until: segment.until_us / 1e6, bytes: segment.plain_bytes })),
    [recording.segments],
  )
  const setFind = (next: string | undefined) => change({ find: next })
  const linkTo = (seconds: number) =>
    new URL(router.buildLocation({ to: '/sessions/$id', params: { id: session.id }, search: { t: seconds, find } }).href, location.href).href
  return (
    <Card
      title="Recording"
      flush
      description={
        <>
          {formatDuration(recording.duration_seconds)} · {formatBytes(recording.plain_bytes)}, {formatBytes(recording.stored_bytes)} stored ·{' '}
          {count(recording.segments.length, 'segment')}
        </>
      }
      actions={
        <span className="flex flex-wrap items-center gap-2">
          {open && running && (
            <Badge tone="danger" dot live>
              Recording
            </Badge>
          )}
          {open && (
            <Button size="sm" variant="ghost" icon={RefreshCw} onClick={onRefresh}>
              Refresh
            </Button>
          )}
          {stored && (
            <a href={recordings.exportUrl(session.id)} download={fileName(session)} className={buttonClass({ size: 'sm' })}>
              <Download aria-hidden className="size-3.5" strokeWidth={2} /> Download
            </a>
          )}
        </span>
      }
    >
      <Integrity recording={recording} running={running} />
      {!stored ? (
        <EmptyState icon={open ? Circle : Film} title={open ? 'Nothing is stored yet' : 'The recording is empty'} className="border-t py-8">
          {open ? 'The first part is stored within 15 seconds of something happening.' : 'The session ended before it showed anything.'}
        </EmptyState>
      ) : t === undefined ? (
        <EmptyState
          icon={Film}
          title={open ? 'Play what is stored so far' : 'Play what the session showed'}
          className="border-t py-10"
          action={
            <Button variant="primary" icon={Play} onClick={() => (setLoaded(length), setPlay(true), change({ t: 0 }))}>
              Play recording
            </Button>
          }
        >
          The ledger notes who plays or downloads a recording.
        </EmptyState>
      ) : (
        <div className="border-t">
          {length > loaded && (
            <p role="status" className="flex items-center justify-between gap-3 border-b bg-info-soft px-4 py-1.5 text-xs text-info-text">
              More was recorded since.
              <Button size="sm" onClick={() => setLoaded(length)}>
                Load it
              </Button>
            </p>
          )}
          <Suspense fallback={<PlayerSkeleton />}>
            <Player key={loaded} sessionId={session.id} at={t} play={play} activity={activity} linkTo={linkTo} find={find} onFind={setFind} />
          </Suspense>
        </div>
      )}
    </Card>
  )
}

const PlayerSkeleton = () => (
  <div role="status" aria-label="Loading" className="p-4">
    <Skeleton className="h-[34vh] min-h-56 rounded-lg sm:h-[52vh]" />
  </div>
)

const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' })

/** What was checked, how far that is, and what is wrong. */
function Integrity({ recording, running }: { recording: Recording; running: boolean }) {
  const { verification, state, dropped_bytes } = recording
  const { checked_segments, of_segments, checked_at } = verification
  const at = checked_at === null ? '' : ` at ${CLOCK.format(Date.parse(checked_at))}`
  const checked = checks(recording).filter(({ result }) => result === 'passed')
  const findings = verification.findings.length > 0 ? verification.findings : [verification.message]
  const intact = verification.verdict === 'intact'
  const open = ['incomplete', 'empty'].includes(verification.verdict) && state === 'recording'
  const empty = verification.verdict === 'empty' && state === 'empty'
  const notDone = verification.verdict === 'not_done'
  const checking = verification.verdict === 'checking'
  return (
    <div className="px-4 pt-3 pb-3" data-verdict={verification.verdict}>
      {intact ? (
        <Verdict tone="success" icon={ShieldCheck} word="Intact">
          checked {list(checked.map(({ name }) => name))}{at}
        </Verdict>
      ) : open || empty ? (
        <Verdict tone="info" icon={ShieldQuestion} word={empty ? 'Empty' : running ? 'Still being recorded' : 'Not closed yet'}>
          {checked.length > 0 ? `so far intact: checked ${list(checked.map(({ name }) => name))}${at}` : 'nothing to check yet'}
        </Verdict>
      ) : checking ? (
        <Verdict tone="info" icon={ShieldQuestion} word="Checking">
          <span data-checked={checked_segments}>
            checked {checked_segments} of {count(of_segments, 'segment')}
          </span>
          {verification.list === 'passed' && '; signature and list of segments are right, and each segment is compared with the list when it is played'}
        </Verdict>
      ) : notDone ? (
        <Verdict tone="info" icon={ShieldQuestion} word="Not verified here">
          {verification.message}
        </Verdict>
      ) : (
        <>
          <Verdict tone="danger" icon={ShieldAlert} word="Not intact">
            {verification.verdict}, checked{at}
          </Verdict>
          <ul role="alert" className="mt-2 list-inside list-disc text-sm break-words text-danger-text">
            {findings.map((finding) => (
              <li key={finding}>{finding}</li>
            ))}
          </ul>
        </>
      )}
      {state === 'completed' && (
        <p className="mt-2 text-xs text-warning-text">The hub that recorded it died: another one closed it. Its last seconds may be missing.</p>
      )}
      {state === 'recording' && (
        <p className="mt-2 text-xs text-muted">{running ? 'The session still runs' : 'The recording is not closed yet'}: what is played or downloaded now is not complete.</p>
      )}
      {recording.closing_error && <p className="mt-2 text-xs text-warning-text">It could not be closed yet: {recording.closing_error}.</p>}
      <Searchable index={recording.index} closed={state !== 'recording'} />
      {dropped_bytes > 0 && <p className="mt-2 text-xs text-warning-text">{formatBytes(dropped_bytes)} passed without being recorded; the player shows where.</p>}
      <details className="mt-2 text-xs text-muted">
        <summary className="cursor-pointer rounded hover:text-fg">What was checked</summary>
        <Facts>
          {checks(recording).map(({ name, result, meaning }) => (
            <Fact key={name} label={name.charAt(0).toUpperCase() + name.slice(1)}>
              <Badge tone={result === 'passed' ? 'success' : result === 'failed' ? 'danger' : 'neutral'}>{RESULTS[result] ?? result}</Badge>
              <span className="text-muted">{meaning}</span>
            </Fact>
          ))}
          <Fact label="Root">{recording.root && <code className="font-mono text-2xs break-all">{recording.root}</code>}</Fact>
        </Facts>
      </details>
    </div>
  )
}

/** Stretches of fast output that are named. */
const MOST_STRETCHES = 4

/** Says where not everything that was shown or run can be found. */
function Searchable({ index, closed }: { index: Recording['index']; closed: boolean }) {
  const { truncated, cut, sampled, unseen_keys, unseen_entries, hidden_entries, done, error_code } = index
  const shown = sampled.slice(0, MOST_STRETCHES).map(([from = 0, until = 0]) => `${formatPosition(from)} and ${formatPosition(until)}`)
  const more = sampled.length - shown.length
  return (
    <>
      {error_code && (
        <p className="mt-2 text-xs text-warning-text">
          Its text can be searched only up to a part that is damaged. <code className="font-mono text-2xs">{error_code}</code>
        </p>
      )}
      {truncated && <p className="mt-2 text-xs text-warning-text">It showed more text than is kept for the search: at most the first 200,000 lines or 16 MiB, of those 60,000 of screens that were drawn anew, and commands, can be found.</p>}
      {cut && <p className="mt-2 text-xs text-warning-text">A line was too long, or a screen took too long to draw: what is beyond that cannot be found.</p>}
      {shown.length > 0 && (
        <p className="mt-2 text-xs text-muted">
          Not every line of fast output can be searched between {shown.join(', ')}
          {more > 0 && ` and in ${String(more)} more stretches`}. What stood on the screen each second, and commands, can be.
        </p>
      )}
      {unseen_keys > 0 && (
        <p className="mt-2 text-xs text-muted">
          {count(unseen_keys, 'key')} did not show on the screen and {unseen_keys === 1 ? 'is' : 'are'} not recorded
          {unseen_entries > hidden_entries && `; ${count(unseen_entries - hidden_entries, 'time')} Enter followed at a prompt, as after a password`}. The player has markers.
        </p>
      )}
      {hidden_entries > 0 && (
        <p className="mt-2 text-xs text-warning-text">
          {count(hidden_entries, 'time')} something was entered that the screen did not show, and not at a prompt that asks: it may have been a command, which cannot be found.
        </p>
      )}
      {closed && !done && <p className="mt-2 text-xs text-muted">Its text is still being indexed: the search may not find everything yet.</p>}
    </>
  )
}

const RESULTS: Record<string, string> = { passed: 'Passed', failed: 'Failed', not_done: 'Not done' }

const checks = ({ verification }: Recording) => [
  { name: 'structure', result: verification.structure, meaning: 'each segment is whole and of this session' },
  { name: 'chain', result: verification.chain, meaning: 'no segment is missing, added or moved' },
  { name: 'Merkle root', result: verification.merkle, meaning: 'all segments together are those that were signed' },
  { name: 'signature', result: verification.signature, meaning: 'signed by a recorder of this organisation' },
  { name: 'ledger', result: verification.ledger, meaning: 'the segments begin with those whose heads the ledger noted while the session ran and when it was closed' },
  { name: 'list of segments', result: verification.list, meaning: 'it is the one that was signed; each segment is compared with it when it is played' },
]

function Verdict({ tone, icon, word, children }: { tone: 'success' | 'info' | 'danger'; icon: typeof ShieldCheck; word: string; children: ReactNode }) {
  return (
    <p className="flex flex-wrap items-center gap-x-2 gap-y-1 text-sm text-muted">
      <Badge tone={tone} icon={icon}>
        {word}
      </Badge>
      <span className="min-w-0 break-words">{children}</span>
    </p>
  )
}

const list = (words: string[]): string => words.join(', ')

const plain = (text: string) => text.replaceAll(/[^\p{L}\p{N}._-]+/gu, '_').slice(0, 60)

/** "web-01_robin_2026-11-24-1403.cast", with nothing in it that a file system minds. */
function fileName(session: Session): string {
  const start = session.start_time.slice(0, 16).replace('T', '-').replace(':', '')
  return `${plain(session.target_name)}_${plain(session.user_name)}_${start}.cast`
}
