import { useInfiniteQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useMe } from '@/api/hooks'
import { ledger } from '@/api/hub'
import type { LedgerEntry, Outcome } from '@/api/types'
import { may } from '@/lib/access'
import { cn } from '@/lib/cn'
import { actionName, actorName } from '@/lib/words'
import { Card } from './page'
import { InlineProblem, Skeleton } from './states'
import { RelativeTime } from './time'

/** Comes every few minutes while a session runs, and says nothing of what anybody did. */
const NOTED_OFTEN = 'recording.head'

const DOT: Record<Outcome, string> = { success: 'bg-success', denied: 'bg-warning', failure: 'bg-danger' }

/** What the ledger says about one thing; for those who may read the ledger. */
export function EntityActivity({ objectId }: { objectId: string }) {
  const me = useMe()
  if (!may(me, 'see-ledger')) return null
  return <ActivityCard objectId={objectId} />
}

function ActivityCard({ objectId }: { objectId: string }) {
  const query = useInfiniteQuery(ledger.list({ object_id: objectId, without_action: NOTED_OFTEN }))
  const entries = query.data?.pages[0]?.items.slice(0, 12) ?? []
  return (
    <Card
      title="Activity"
      actions={
        entries.length > 0 && (
          <Link to="/ledger" search={{ object_id: objectId }} className="rounded text-xs text-muted hover:text-fg">
            All in the ledger
          </Link>
        )
      }
    >
      {query.isPending && <Skeleton className="my-2 w-2/3" />}
      {query.isError && <InlineProblem error={query.error} />}
      {query.data && entries.length === 0 && <p className="text-sm text-faint">Nothing has happened with it yet.</p>}
      <ol className="flex flex-col">
        {entries.map((entry) => (
          <ActivityLine key={entry.id} entry={entry} />
        ))}
      </ol>
    </Card>
  )
}

/** Some acts are called otherwise when they were denied: that says it already. */
const saysOutcome = ({ action, outcome }: LedgerEntry) => actionName(action, outcome) !== actionName(action)

function ActivityLine({ entry }: { entry: LedgerEntry }) {
  return (
    <li className="relative flex gap-3 pb-3.5 text-sm last:pb-0 not-last:before:absolute not-last:before:top-4 not-last:before:bottom-0 not-last:before:left-[3.5px] not-last:before:w-px not-last:before:bg-line">
      <span aria-hidden className={cn('mt-1.5 size-2 shrink-0 rounded-full', DOT[entry.outcome] ?? 'bg-faint')} />
      <div className="min-w-0 flex-1">
        <p className="truncate text-fg">
          {actionName(entry.action, entry.outcome)}
          {typeof entry.detail.user === 'string' && entry.action.startsWith('group.member_') && `: ${entry.detail.user}`}
          {entry.outcome !== 'success' && !saysOutcome(entry) && <span className="text-danger-text"> ({entry.outcome})</span>}
        </p>
        <p className="truncate text-xs text-faint">
          {actorName(entry.actor)} · <RelativeTime time={entry.occurred_at} />
        </p>
      </div>
    </li>
  )
}
