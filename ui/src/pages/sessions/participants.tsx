import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useMe } from '@/api/hooks'
import { sessions } from '@/api/hub'
import type { Participant, Session } from '@/api/types'
import { Badge } from '@/components/badge'
import { Card, LINK } from '@/components/page'
import { Elapsed, RelativeTime } from '@/components/time'
import { may } from '@/lib/access'
import { useAttended } from '@/lib/attention'
import { formatBytes } from '@/lib/format'

/** Who watched or joined a session; nothing where nobody did. */
export function ParticipantsCard({ session }: { session: Session }) {
  const attended = useAttended()
  const { data } = useQuery({ ...sessions.participants(session.id), refetchInterval: attended && session.status === 'active' ? 5_000 : false })
  if (!data || data.items.length === 0) return null
  return (
    <Card title="Watched and joined by">
      <ul className="flex flex-col divide-y">
        {data.items.map((participant) => (
          <Row key={participant.id} participant={participant} />
        ))}
      </ul>
    </Card>
  )
}

function Row({ participant }: { participant: Participant }) {
  const me = useMe()
  const { kind, user_id, user_name, visible, began_at, ended_at, input_granted_at, bytes_sent } = participant
  return (
    <li className="flex flex-wrap items-center gap-x-3 gap-y-1 py-2 text-sm first:pt-0 last:pb-0">
      <span className="min-w-0 flex-1 truncate">
        {may(me, 'see-people') ? (
          <Link to="/users/$id" params={{ id: user_id }} className={LINK}>
            {user_name}
          </Link>
        ) : (
          user_name
        )}
      </span>
      <Badge tone={kind === 'join' ? 'warning' : 'info'} dot={ended_at === null} live={ended_at === null}>
        {kind === 'join' ? (ended_at === null ? 'In the session' : 'Joined') : ended_at === null ? 'Watching' : 'Watched'}
      </Badge>
      {!visible && <Badge tone="outline">Unseen</Badge>}
      {input_granted_at !== null && <Badge tone="warning">Typed {formatBytes(bytes_sent)}</Badge>}
      <span className="text-xs text-muted">
        <RelativeTime time={began_at} />, for <Elapsed from={began_at} to={ended_at} />
      </span>
    </li>
  )
}
