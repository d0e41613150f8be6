import { useQuery } from '@tanstack/react-query'
import { Database, Film, Server, Vault } from 'lucide-react'
import { systemQuery } from '@/api/hub'
import { Badge } from '@/components/badge'
import { DetailSkeleton } from '@/components/detail'
import { Card, Page } from '@/components/page'
import { ErrorState } from '@/components/states'
import { RelativeTime } from '@/components/time'
import type { SystemStatus } from '@/api/types'
import { count, formatBytes } from '@/lib/format'
import { sentence } from '@/lib/words'
import { useAttended } from '@/lib/attention'

const spooled = ({ detail, spool_bytes }: SystemStatus['recordings']) => (spool_bytes > 0 ? `${detail ?? 'The store is back.'} ${formatBytes(spool_bytes)} wait.` : detail)

/** Whether everything the hub needs is there. */
export function SystemPage() {
  const query = useQuery({ ...systemQuery, refetchInterval: useAttended() && 10_000 })
  if (query.isError && !query.data) return <ErrorState error={query.error} onRetry={() => void query.refetch()} />
  if (!query.data) return <DetailSkeleton />
  const { version, hubs, database, vault, recordings } = query.data
  const parts = [
    { name: 'Database', icon: Database, ok: database.ok, state: database.ok ? 'Available' : 'Unreachable', holds: 'Users, targets, sessions and the ledger', detail: null },
    { name: 'Vault', icon: Vault, ok: vault.ok, state: sentence(vault.state), holds: 'Secrets of credentials, private keys of recordings', detail: vault.detail },
    { name: 'Recording store', icon: Film, ok: recordings.ok, state: sentence(recordings.state), holds: 'What sessions showed, encrypted', detail: spooled(recordings) },
  ]
  return (
    <Page narrow title="System" description={`Version ${version}`}>
      <Card flush title="What the hub needs" description="Looked at every few seconds">
        <ul className="divide-y divide-line">
          {parts.map(({ name, icon: Icon, ok, state, holds, detail }) => (
            <li key={name} className="flex items-start gap-3 px-4 py-2.5">
              <Icon aria-hidden className="mt-0.5 size-4 shrink-0 text-faint" />
              <div className="min-w-0 flex-1">
                <h3 className="text-sm font-medium">{name}</h3>
                <p className="text-xs text-muted">{holds}</p>
                {detail && <p className="mt-0.5 text-xs break-words text-fg">{detail}</p>}
              </div>
              <Badge tone={ok ? 'success' : 'danger'} dot>
                {state}
              </Badge>
            </li>
          ))}
        </ul>
      </Card>
      <Card flush className="mt-4" title="Hubs" description={count(hubs.length, 'process', 'processes')}>
        <ul className="divide-y divide-line">
          {hubs.map((hub) => (
            <li key={hub.id} className="flex flex-wrap items-center gap-x-3 gap-y-1 px-4 py-2.5 text-sm">
              <Server aria-hidden className="size-4 shrink-0 text-faint" />
              <code className="min-w-0 flex-1 basis-40 truncate font-mono text-xs">{hub.address ?? hub.id}</code>
              <span className="text-xs text-muted">{count(hub.active_sessions, 'session')}</span>
              <span className="text-xs text-faint">started <RelativeTime time={hub.started_at} /> · seen <RelativeTime time={hub.last_seen_at} /></span>
            </li>
          ))}
        </ul>
      </Card>
    </Page>
  )
}
