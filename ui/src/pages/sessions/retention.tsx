/** How long a session's recording is kept: until when, legal hold, deletion. */
import { useQuery } from '@tanstack/react-query'
import { Archive, Clock, FileX2, Lock, LockOpen, ServerCrash, Trash2 } from 'lucide-react'
import { useState, type ReactNode } from 'react'
import { toast } from 'sonner'
import { useMe } from '@/api/hooks'
import { recordings } from '@/api/hub'
import type { RecordingRetention, Session } from '@/api/types'
import { Button } from '@/components/button'
import { ConfirmDialog } from '@/components/confirm'
import { Card } from '@/components/page'
import { EmptyState } from '@/components/states'
import { mayHold, mayPurge } from '@/lib/access'
import { count, formatBytes, formatDayTime } from '@/lib/format'
import { useAttended } from '@/lib/attention'

/** What keeps a recording, and what may be done about it. Nothing is shown until it is known. */
export function Retention({ session }: { session: Session }) {
  const attended = useAttended()
  const { data } = useQuery({
    ...recordings.retention(session.id),
    // What waits for the store, or is being deleted, changes by itself.
    refetchInterval: ({ state }) => attended && state.data !== undefined && isUnderWay(state.data) && 5_000,
  })
  if (!data) return null
  return <RetentionCard session={session} retention={data} />
}

const isUnderWay = (retention: RecordingRetention) => retention.spooled_segments > 0 || retention.state === 'purging'

type Asking = 'hold' | 'release' | 'purge' | null

function RetentionCard({ session, retention }: { session: Session; retention: RecordingRetention }) {
  const me = useMe()
  const [asking, setAsking] = useState<Asking>(null)
  const gone = retention.purge !== null
  const closed = !gone && retention.state !== 'recording'
  return (
    <Card
      title="Retention"
      actions={
        <span className="flex flex-wrap items-center gap-2">
          {!gone && mayHold(me) && (
            <Button size="sm" icon={retention.hold ? LockOpen : Lock} onClick={() => setAsking(retention.hold ? 'release' : 'hold')}>
              {retention.hold ? 'Lift hold' : 'Hold'}
            </Button>
          )}
          {closed && mayPurge(me) && !retention.hold && (
            <Button size="sm" variant="ghost" icon={Trash2} onClick={() => setAsking('purge')}>
              Delete
            </Button>
          )}
        </span>
      }
    >
      <div className="flex flex-col gap-3">
        <Kept retention={retention} />
        {retention.spooled_segments > 0 && (
          <Line icon={ServerCrash} tone="warning">
            {count(retention.spooled_segments, 'segment')} wait for the store of recordings in {retention.spool}.
          </Line>
        )}
        {retention.purge_error && (
          <Line icon={Clock} tone="warning">
            Not deleted yet: {retention.purge_error}.
          </Line>
        )}
      </div>
      {asking && <Ask session={session} retention={retention} asking={asking} onClose={() => setAsking(null)} />}
    </Card>
  )
}

function Kept({ retention }: { retention: RecordingRetention }) {
  const { hold, purge, kept_until } = retention
  if (purge) {
    return (
      <Line icon={FileX2}>
        {purge.purged_at ? `Deleted ${formatDayTime(purge.purged_at)}` : 'Being deleted'}, asked for by {purge.by}: {purge.reason}
      </Line>
    )
  }
  if (hold) {
    return (
      <Line icon={Lock}>
        On hold since {formatDayTime(hold.at)} by {hold.by}: {hold.reason}
      </Line>
    )
  }
  if (kept_until) return <Line icon={Archive}>Kept until {formatDayTime(kept_until)}, then deleted.</Line>
  return <Line icon={Archive}>{retention.state === 'recording' ? 'Kept while it is recorded.' : 'Kept until somebody deletes it.'}</Line>
}

const Line = ({ icon: Icon, tone, children }: { icon: typeof Lock; tone?: 'warning'; children: ReactNode }) => (
  <p className={`flex items-start gap-2 text-sm ${tone === 'warning' ? 'text-warning-text' : 'text-muted'}`}>
    <Icon aria-hidden className="mt-0.5 size-4 shrink-0" strokeWidth={1.75} />
    <span className="min-w-0 break-words">{children}</span>
  </p>
)

function Ask({ session, retention, asking, onClose }: { session: Session; retention: RecordingRetention; asking: Exclude<Asking, null>; onClose: () => void }) {
  const what = `the recording of ${session.user_name} on ${session.target_name}`
  if (asking === 'hold') {
    return (
      <ConfirmDialog
        onClose={onClose}
        title="Put this recording on hold?"
        action="Hold recording"
        tone="primary"
        askReason
        reasonHelp="It is kept in the ledger."
        onConfirm={async (reason) => {
          await recordings.hold(session.id, reason)
          toast.success('The recording is on hold')
        }}
      >
        Nothing deletes {what} until the hold is lifted.
      </ConfirmDialog>
    )
  }
  if (asking === 'release') {
    return (
      <ConfirmDialog
        onClose={onClose}
        title="Lift the hold?"
        action="Lift hold"
        tone="primary"
        onConfirm={async () => {
          await recordings.release(session.id)
          toast.success('The hold was lifted')
        }}
      >
        From then on {what} is kept no longer than the settings say, and can be deleted.
      </ConfirmDialog>
    )
  }
  return (
    <ConfirmDialog
      onClose={onClose}
      title="Delete this recording?"
      action="Delete recording"
      nameToType={session.target_name}
      askReason
      reasonHelp="It is kept in the ledger."
      onConfirm={async (reason) => {
        const left = await recordings.purge(session.id, reason)
        if (left.state === 'purged') toast.success('The recording was deleted')
        else toast.warning('The recording is being deleted: the store has not done it yet')
      }}
    >
      {count(retention.segments, 'segment')}, {formatBytes(retention.stored_bytes)}, of {what} are deleted from the store for good. That there was a
      recording, its root and who deleted it stay in the ledger.
    </ConfirmDialog>
  )
}

/** In place of a recording that was deleted. */
export const Purged = () => (
  <Card title="Recording">
    <EmptyState icon={FileX2} title="This recording was deleted" className="py-8">
      What it showed is gone. Its root and who deleted it are in the ledger.
    </EmptyState>
  </Card>
)
