import { useMutation, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { Activity, Pencil, Power, PowerOff, SquareTerminal, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { useMe } from '@/api/hooks'
import { credentials, groups, launchTargets, settingsQuery, targets, zones } from '@/api/hub'
import type { Target } from '@/api/types'
import { EntityActivity } from '@/components/activity'
import { Badge, EnvironmentBadge } from '@/components/badge'
import { Button } from '@/components/button'
import { ConnectionTestCard } from '@/components/connection-test'
import { CopyValue, ShortId } from '@/components/copy'
import { Detail } from '@/components/detail'
import { MenuItem, MenuSeparator, MoreMenu } from '@/components/menu'
import { Card, Columns, Fact, Facts, LINK, Page } from '@/components/page'
import { asProblem } from '@/components/states'
import { RelativeTime } from '@/components/time'
import { may } from '@/lib/access'
import { credentialHint, credentialLabel } from '@/lib/credentials'
import { count, formatAddress } from '@/lib/format'
import { useConnect } from '../launcher/use-connect'
import { DeleteTarget, SwitchOffTarget } from './delete'
import { TargetForm } from './form'
import { HostKeysCard } from './host-keys'
import { TargetState } from './state'

const route = getRouteApi('/signed-in/frame/targets/$id')
const LIST = { label: 'Targets', to: '/targets' } as const

/** One target: its facts, keys, test, who can reach it, what happened with it. */
export function TargetPage() {
  const { id } = route.useParams()
  const query = useQuery(targets.one(id))
  return (
    <Detail query={query} noun="target" list={LIST}>
      {(target) => <TargetDetail target={target} />}
    </Detail>
  )
}

function TargetDetail({ target }: { target: Target }) {
  const me = useMe()
  const navigate = useNavigate()
  const admin = may(me, 'administer')
  const launch = useQuery({ ...launchTargets.one(target.id), retry: false })
  const zone = useQuery(zones.one(target.zone_id))
  const own = useQuery(credentials.all({ target_id: target.id }))
  const everywhere = useQuery({ ...settingsQuery, enabled: may(me, 'see-settings') }).data?.require_reason ?? false
  const [dialog, setDialog] = useState<'edit' | 'off' | 'delete' | null>(null)
  const { connect, prompt } = useConnect()
  const switchOn = useMutation({
    mutationFn: () => targets.update(target.id, { enabled: true }),
    onSuccess: () => toast.success(`${target.name} is switched on`),
    onError: (error) => toast.error(asProblem(error).message),
  })
  const close = () => setDialog(null)
  return (
    <Page
      title={target.name}
      crumbs={[LIST]}
      description={target.description}
      badge={
        <>
          <TargetState target={target} />
          <EnvironmentBadge environment={target.environment} />
        </>
      }
      actions={
        <>
          {launch.data && (
            <Button variant="primary" icon={SquareTerminal} disabled={!target.enabled} onClick={() => connect(launch.data)}>
              Connect
            </Button>
          )}
          {admin && (
            <Button icon={Pencil} onClick={() => setDialog('edit')}>
              Edit
            </Button>
          )}
          <MoreMenu label="More actions">
            {may(me, 'see-sessions') && (
              <MenuItem icon={Activity} onSelect={() => void navigate({ to: '/sessions', search: { target_id: target.id } })}>
                Its sessions
              </MenuItem>
            )}
            {admin && (
              <>
                <MenuSeparator />
                {target.enabled ? (
                  <MenuItem icon={PowerOff} danger onSelect={() => setDialog('off')}>
                    Switch off…
                  </MenuItem>
                ) : (
                  <MenuItem icon={Power} onSelect={() => switchOn.mutate()}>
                    Switch on
                  </MenuItem>
                )}
                <MenuItem icon={Trash2} danger onSelect={() => setDialog('delete')}>
                  Delete…
                </MenuItem>
              </>
            )}
          </MoreMenu>
        </>
      }
    >
      <Columns
        main={
          <>
            <Card title="Target">
              <Facts>
                <Fact label="Address">
                  <CopyValue value={formatAddress(target.host, target.port)} />
                </Fact>
                <Fact label="Protocol">{target.protocol.toUpperCase()}</Fact>
                <Fact label="Zone">
                  <Link to="/targets" search={{ zone_id: target.zone_id }} className={LINK}>
                    {zone.data?.name ?? '…'}
                  </Link>
                </Fact>
                <Fact label="Tags">
                  {target.tags.length > 0 &&
                    target.tags.map((tag) => (
                      <Link key={tag} to="/targets" search={{ tag }} className="max-w-full rounded-md">
                        <Badge tone="outline" className="hover:border-line-strong hover:text-fg">
                          {tag}
                        </Badge>
                      </Link>
                    ))}
                </Fact>
                <Fact label="Credentials">
                  {target.credential_ids.length > 0 && (
                    <ul>
                      {own.data?.map((credential) => (
                        <li key={credential.id} className="min-w-0">
                          <Link to="/credentials/$id" params={{ id: credential.id }} className={LINK}>
                            {credential.name}
                          </Link>{' '}
                          <span className="text-xs text-faint">{credentialHint(credential)}</span>
                        </li>
                      ))}
                    </ul>
                  )}
                </Fact>
                <Fact label="Reason">{target.reason_required ? 'Asked for each session' : everywhere ? 'Asked for each session, as everywhere' : 'Not asked'}</Fact>
                <Fact label="Host identity">{target.host_key_policy === 'pinned' ? 'Pinned keys' : 'Signed by a trusted host authority'}</Fact>
                {target.legacy_algorithms && (
                  <Fact label="Algorithms">
                    <Badge tone="warning">Old ones allowed</Badge>
                  </Fact>
                )}
                <Fact label="Changed">
                  <RelativeTime time={target.updated_at} />
                </Fact>
                <Fact label="Id">
                  <ShortId id={target.id} />
                </Fact>
              </Facts>
            </Card>
            <HostKeysCard target={target} editable={admin} />
          </>
        }
        side={
          <>
            {admin && (
              <ConnectionTestCard
                choice="Credential"
                none="None: up to the host key"
                options={(own.data ?? []).map((credential) => ({ id: credential.id, label: credentialLabel(credential) }))}
                run={(credential) => targets.test(target.id, credential)}
              />
            )}
            <WhoCanReach target={target} />
            <EntityActivity objectId={target.id} />
          </>
        }
      />
      {dialog === 'edit' && <TargetForm target={target} onClose={close} />}
      {dialog === 'off' && <SwitchOffTarget target={target} onClose={close} />}
      {dialog === 'delete' && <DeleteTarget target={target} onClose={close} onDeleted={() => void navigate({ to: '/targets' })} />}
      {prompt}
    </Page>
  )
}

/** The groups a target is open to, beside the administrators. */
function WhoCanReach({ target }: { target: Target }) {
  const seesPeople = may(useMe(), 'see-people')
  const groupList = useQuery({ ...groups.all(), enabled: seesPeople && target.group_ids.length > 0 })
  const allowed = groupList.data?.filter((group) => target.group_ids.includes(group.id)) ?? []
  return (
    <Card title="Who can reach this">
      <ul className="flex flex-col gap-1.5 text-sm">
        <li className="text-muted">Every administrator</li>
        {allowed.map((group) => (
          <li key={group.id} className="flex min-w-0 items-baseline gap-2">
            <Link to="/groups/$id" params={{ id: group.id }} className={LINK}>
              {group.name}
            </Link>
            <span className="shrink-0 text-xs text-faint">
              {count(group.member_count, 'member')}
              {group.source === 'oidc' && ', from the directory'}
            </span>
          </li>
        ))}
        {target.group_ids.length > 0 && !seesPeople && <li className="text-muted">Members of {count(target.group_ids.length, 'group')}</li>}
      </ul>
      {target.group_ids.length === 0 && <p className="mt-2 text-xs text-faint">Nobody else: it has no access group.</p>}
    </Card>
  )
}
