import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { Pencil, SquareTerminal, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { useMe } from '@/api/hooks'
import { credentials, groups, launchTargets, targets, zones } from '@/api/hub'
import { EntityActivity } from '@/components/activity'
import { Badge, EnvironmentBadge } from '@/components/badge'
import { Button } from '@/components/button'
import { ConnectionTestCard } from '@/components/connection-test'
import { CopyValue, ShortId } from '@/components/copy'
import { DetailSkeleton } from '@/components/detail-skeleton'
import { MenuItem, MoreMenu } from '@/components/menu'
import { Card, Columns, Fact, Facts, Page } from '@/components/page'
import { ErrorState } from '@/components/states'
import { RelativeTime } from '@/components/time'
import { may } from '@/lib/access'
import { formatAddress } from '@/lib/format'
import { useConnect } from '../launcher/use-connect'
import { DeleteTarget } from './delete'
import { TargetForm } from './form'
import { HostKeysCard } from './host-keys'

const route = getRouteApi('/signed-in/frame/targets/$id')
const LINK = 'text-accent-text hover:underline'

/** One target: its facts, keys, test, who can reach it, what happened with it. */
export function TargetPage() {
  const me = useMe()
  const navigate = useNavigate()
  const { id } = route.useParams()
  const query = useQuery(targets.one(id))
  const launch = useQuery({ ...launchTargets.one(id), retry: false })
  const zoneList = useQuery(zones.all())
  const credentialList = useQuery(credentials.all())
  const groupList = useQuery({ ...groups.all(), enabled: may(me, 'see-people') })
  const [dialog, setDialog] = useState<'edit' | 'delete' | null>(null)
  const { connect, prompt } = useConnect()
  const target = query.data
  if (query.isError && !target) return <ErrorState error={query.error} onRetry={() => void query.refetch()} />
  if (!target) return <DetailSkeleton />
  const admin = may(me, 'administer')
  const own = credentialList.data?.filter((credential) => target.credential_ids.includes(credential.id)) ?? []
  const allowed = groupList.data?.filter((group) => target.group_ids.includes(group.id)) ?? []
  return (
    <Page title={target.name} crumbs={[{ label: 'Targets', to: '/targets' }]} description={target.description}
      badge={<><EnvironmentBadge environment={target.environment} />{!target.enabled && <Badge dot>Switched off</Badge>}</>}
      actions={
        <>
          {launch.data && <Button variant="primary" icon={SquareTerminal} disabled={!target.enabled} onClick={() => connect(launch.data)}>Connect</Button>}
          {admin && <Button icon={Pencil} onClick={() => setDialog('edit')}>Edit</Button>}
          {admin && <MoreMenu label="More"><MenuItem icon={Trash2} danger onSelect={() => setDialog('delete')}>Delete…</MenuItem></MoreMenu>}
        </>
      }>
      <Columns
        main={
          <>
            <Card title="Target">
              <Facts>
                <Fact label="Address"><CopyValue value={formatAddress(target.host, target.port)} /></Fact>
                <Fact label="Protocol">{target.protocol.toUpperCase()}</Fact>
                <Fact label="Zone"><Link to="/targets" search={{ zone_id: target.zone_id }} className={LINK}>{zoneList.data?.find((zone) => zone.id === target.zone_id)?.name ?? '…'}</Link></Fact>
                <Fact label="Tags">{target.tags.length > 0 && target.tags.map((tag) => <Badge key={tag} tone="outline">{tag}</Badge>)}</Fact>
                <Fact label="Credentials">{own.length > 0 && own.map((credential) => <Link key={credential.id} to="/credentials/$id" params={{ id: credential.id }} className={LINK}>{credential.name}</Link>)}</Fact>
                <Fact label="Reason">{target.reason_required ? 'Asked for each session' : 'Not asked'}</Fact>
                <Fact label="Host identity">{target.host_key_policy === 'pinned' ? 'Pinned keys' : 'Host authority'}</Fact>
                {target.legacy_algorithms && <Fact label="Algorithms"><Badge tone="warning">Old ones allowed</Badge></Fact>}
                <Fact label="Changed"><RelativeTime time={target.updated_at} /></Fact>
                <Fact label="Id"><ShortId id={target.id} /></Fact>
              </Facts>
            </Card>
            <HostKeysCard target={target} editable={admin} />
          </>
        }
        side={
          <>
            {admin && (
              <ConnectionTestCard choice="Credential" none="None: up to the host key" options={own.map(({ id: key, name, username }) => ({ id: key, label: `${name} (${username})` }))}
                run={(credential) => targets.test(target.id, credential)} />
            )}
            <Card title="Who can reach this">
              <ul className="flex flex-col gap-1 text-sm">
                <li className="text-muted">Every administrator</li>
                {allowed.map((group) => (
                  <li key={group.id}><Link to="/groups/$id" params={{ id: group.id }} className={LINK}>{group.name}</Link> <span className="text-xs text-faint">{group.source === 'oidc' ? 'directory group' : `${group.member_count} members`}</span></li>
                ))}
                {target.group_ids.length > 0 && allowed.length === 0 && <li className="text-muted">Members of {target.group_ids.length} groups</li>}
              </ul>
            </Card>
            <EntityActivity objectId={target.id} />
          </>
        } />
      {dialog === 'edit' && <TargetForm target={target} onClose={() => setDialog(null)} />}
      {dialog === 'delete' && <DeleteTarget target={target} onClose={() => setDialog(null)} onDeleted={() => void navigate({ to: '/targets' })} />}
      {prompt}
    </Page>
  )
}
