import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { CircleStop, MonitorPlay, UserPlus } from 'lucide-react'
import { useState } from 'react'
import { useMe } from '@/api/hooks'
import { sessions } from '@/api/hub'
import type { Session } from '@/api/types'
import { SessionBadge } from '@/components/badge'
import { Button, buttonClass } from '@/components/button'
import { ShortId } from '@/components/copy'
import { Detail } from '@/components/detail'
import { EntityActivity } from '@/components/activity'
import { Card, Columns, Fact, Facts, LINK, Page } from '@/components/page'
import { Elapsed, RelativeTime } from '@/components/time'
import { may, mayEndAny, mayJoin, mayPlay, mayWatch } from '@/lib/access'
import { useAttended } from '@/lib/attention'
import { formatBytes, formatExact } from '@/lib/format'
import { neverOpened } from '@/lib/sessions'
import { EndSessionDialog } from './end'
import { ParticipantsCard } from './participants'
import { RecordingCard } from './recording'

const route = getRouteApi('/signed-in/frame/sessions/$id')

/** One session: who, where, when, how much, how it ended. */
export function SessionPage() {
  const everybody = may(useMe(), 'see-sessions')
  const { id } = route.useParams()
  const attended = useAttended()
  const query = useQuery({
    ...sessions.one(id),
    refetchInterval: ({ state }) => (attended && state.data?.status === 'active' ? 3_000 : false),
  })
  const list = everybody ? ALL : MINE
  return (
    <Detail query={query} noun="session" list={list}>
      {(session) => <SessionDetail session={session} list={list} />}
    </Detail>
  )
}

const ALL = { label: 'Sessions', to: '/sessions' } as const
const MINE = { label: 'My sessions', to: '/my-sessions' } as const

function SessionDetail({ session, list }: { session: Session; list: typeof ALL | typeof MINE }) {
  const me = useMe()
  const [ending, setEnding] = useState(false)
  const own = session.user_id === me.user.id
  const seesAdmin = may(me, 'see-infrastructure')
  return (
    <Page
      title={session.target_name}
      crumbs={[list]}
      badge={<SessionBadge status={session.status} />}
      description={
        <>
          {session.user_name}, <RelativeTime time={session.start_time} />
        </>
      }
      actions={
        session.status === 'active' && (
          <>
            {session.protocol === 'ssh' && mayWatch(me) && (
              <Link to="/watch/$id" params={{ id: session.id }} className={buttonClass()}>
                <MonitorPlay aria-hidden className="size-3.5" /> Watch
              </Link>
            )}
            {session.protocol === 'ssh' && !own && mayJoin(me) && (
              <Link to="/watch/$id" params={{ id: session.id }} search={{ mode: 'join' }} className={buttonClass()}>
                <UserPlus aria-hidden className="size-3.5" /> Join
              </Link>
            )}
            {(own || mayEndAny(me)) && (
              <Button variant="danger-ghost" icon={CircleStop} onClick={() => setEnding(true)}>
                End…
              </Button>
            )}
          </>
        )
      }
    >
      {mayPlay(me, session.user_id) && !neverOpened(session) && (
        <div className="mb-4">
          <RecordingCard session={session} />
        </div>
      )}
      <Columns
        main={
          <>
            {(session.error_message || session.error_code) && (
              <div role="note" className="rounded-xl border border-danger/30 bg-danger-soft px-4 py-3 text-sm text-danger-text">
                <p className="font-medium">{session.error_message ?? 'The session ended with an error.'}</p>
                {session.error_code && <code className="font-mono text-2xs">{session.error_code}</code>}
              </div>
            )}
            <Card title="Connection">
              <Facts>
                <Fact label="Target">
                  {seesAdmin && session.target_id ? (
                    <Link to="/targets/$id" params={{ id: session.target_id }} className={LINK}>
                      {session.target_name}
                    </Link>
                  ) : (
                    session.target_name
                  )}
                </Fact>
                <Fact label="User">
                  {may(me, 'see-people') ? (
                    <Link to="/users/$id" params={{ id: session.user_id }} className={LINK}>
                      {session.user_name}
                    </Link>
                  ) : (
                    session.user_name
                  )}
                </Fact>
                <Fact label="Credential">
                  {seesAdmin && session.credential_id ? (
                    <Link to="/credentials/$id" params={{ id: session.credential_id }} className={LINK}>
                      {session.credential_name}
                    </Link>
                  ) : (
                    session.credential_name
                  )}
                </Fact>
                <Fact label="Protocol">{session.protocol.toUpperCase()}</Fact>
                <Fact label="From">{session.client_ip && <code className="font-mono text-xs">{session.client_ip}</code>}</Fact>
                <Fact label="Recorded">{session.recording_path === null ? 'No' : neverOpened(session) ? 'Nothing was said in it' : 'Yes'}</Fact>
                <Fact label="Reason">{session.reason && <span className="text-data whitespace-pre-wrap">{session.reason}</span>}</Fact>
                <Fact label="Session">
                  <ShortId id={session.id} />
                </Fact>
              </Facts>
            </Card>
            <Card title="Time and traffic">
              <Facts>
                <Fact label="Started">{formatExact(session.start_time)}</Fact>
                <Fact label="Ended">{session.end_time ? formatExact(session.end_time) : 'Still open'}</Fact>
                <Fact label="Duration">
                  <Elapsed from={session.start_time} to={session.end_time} />
                </Fact>
                {session.status === 'active' && (
                  <Fact label="Browser">{session.attached ? 'Connected' : 'Away: it may come back and resume'}</Fact>
                )}
                <Fact label="Received">{formatBytes(session.bytes_received)}</Fact>
                <Fact label="Sent">{formatBytes(session.bytes_sent)}</Fact>
                {session.exit_status !== null && <Fact label="Exit status">{String(session.exit_status)}</Fact>}
                {session.exit_signal && <Fact label="Ended by the signal">{session.exit_signal}</Fact>}
              </Facts>
            </Card>
            <ParticipantsCard session={session} />
          </>
        }
        side={<EntityActivity objectId={session.id} />}
      />
      {ending && <EndSessionDialog session={session} onClose={() => setEnding(false)} />}
    </Page>
  )
}
