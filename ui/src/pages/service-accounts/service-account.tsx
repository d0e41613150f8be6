import { useQuery } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { KeyRound, Pencil, Plus, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { useMe } from '@/api/hooks'
import { serviceAccounts } from '@/api/hub'
import type { ApiToken } from '@/api/types'
import { EntityActivity } from '@/components/activity'
import { Badge } from '@/components/badge'
import { Button } from '@/components/button'
import { ConfirmDialog } from '@/components/confirm'
import { ShortId } from '@/components/copy'
import { DetailSkeleton } from '@/components/detail-skeleton'
import { MenuItem, MoreMenu } from '@/components/menu'
import { Card, Columns, Fact, Facts, Page } from '@/components/page'
import { ErrorState, InlineProblem } from '@/components/states'
import { RelativeTime } from '@/components/time'
import { may, roleName } from '@/lib/access'
import { useNow } from '@/lib/use-now'
import { ServiceAccountForm, TokenForm } from './forms'

const route = getRouteApi('/signed-in/frame/service-accounts/$id')

/** One service account and its tokens. */
export function ServiceAccountPage() {
  const me = useMe()
  const now = useNow()
  const navigate = useNavigate()
  const { id } = route.useParams()
  const query = useQuery(serviceAccounts.one(id))
  const tokens = useQuery(serviceAccounts.tokens(id))
  const [dialog, setDialog] = useState<'edit' | 'token' | 'delete' | null>(null)
  const [revoking, setRevoking] = useState<ApiToken | null>(null)
  const account = query.data
  if (query.isError && !account) return <ErrorState error={query.error} onRetry={() => void query.refetch()} />
  if (!account) return <DetailSkeleton />
  const admin = may(me, 'administer')
  const close = () => setDialog(null)
  return (
    <Page title={account.name} crumbs={[{ label: 'Service accounts', to: '/service-accounts' }]} description={account.description} badge={account.enabled ? <Badge tone="success" dot>Enabled</Badge> : <Badge dot>Disabled</Badge>}
      actions={admin && (
        <>
          <Button icon={Pencil} onClick={() => setDialog('edit')}>Edit</Button>
          <MoreMenu label="More"><MenuItem icon={Trash2} danger onSelect={() => setDialog('delete')}>Delete…</MenuItem></MoreMenu>
        </>
      )}>
      <Columns
        main={
          <Card flush title="Tokens" description="A token is shown once, when it is made." actions={admin && <Button size="sm" icon={Plus} onClick={() => setDialog('token')}>New token</Button>}>
            {tokens.isError && <InlineProblem error={tokens.error} className="m-4" />}
            {tokens.data?.items.length === 0 && <p className="px-4 py-6 text-center text-sm text-faint">No tokens: it cannot sign in yet.</p>}
            <ul className="divide-y divide-line">
              {tokens.data?.items.map((token) => {
                const expired = token.expires_at !== null && Date.parse(token.expires_at) < now
                return (
                  <li key={token.id} className="flex items-center gap-3 px-4 py-2.5">
                    <KeyRound aria-hidden className="size-4 shrink-0 text-faint" />
                    <div className="min-w-0 flex-1">
                      <p className="flex items-center gap-2 text-sm font-medium"><span className="truncate">{token.name}</span>{expired && <Badge tone="warning">Expired</Badge>}</p>
                      <p className="text-xs text-faint"><code className="font-mono">{token.prefix}…</code> · {expired ? 'expired' : 'expires'} <RelativeTime time={token.expires_at} none="never" /> · used <RelativeTime time={token.last_used_at} none="never" />{token.scopes.length > 0 && ` · ${token.scopes.join(', ')}`}</p>
                    </div>
                    {admin && <Button size="sm" variant="danger-ghost" onClick={() => setRevoking(token)}>Revoke</Button>}
                  </li>
                )
              })}
            </ul>
          </Card>
        }
        side={
          <>
            <Card title="Service account">
              <Facts>
                <Fact label="Roles">{account.roles.length > 0 && account.roles.map((role) => <Badge key={role}>{roleName(role)}</Badge>)}</Fact>
                <Fact label="Since"><RelativeTime time={account.created_at} /></Fact>
                <Fact label="Id"><ShortId id={account.id} /></Fact>
              </Facts>
            </Card>
            <EntityActivity objectId={account.id} />
          </>
        } />
      {dialog === 'edit' && <ServiceAccountForm account={account} onClose={close} />}
      {dialog === 'token' && <TokenForm account={account} onClose={close} />}
      {dialog === 'delete' && (
        <ConfirmDialog open onClose={close} title={`Delete ${account.name}?`} action="Delete service account" nameToType={account.name}
          onConfirm={async () => {
            await serviceAccounts.remove(account.id)
            toast.success(`${account.name} deleted`)
            void navigate({ to: '/service-accounts' })
          }}>All its tokens stop working at once.</ConfirmDialog>
      )}
      {revoking && <ConfirmDialog open onClose={() => setRevoking(null)} title={`Revoke the token ${revoking.name}?`} action="Revoke token" onConfirm={() => serviceAccounts.revokeToken(account.id, revoking.id)}>Programs that use it are refused from now on.</ConfirmDialog>}
    </Page>
  )
}
