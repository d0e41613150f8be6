import { useQuery } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { KeyRound, Plus } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { useMe } from '@/api/hooks'
import { serviceAccounts } from '@/api/hub'
import type { ApiToken, ServiceAccount } from '@/api/types'
import { EntityActivity } from '@/components/activity'
import { Badge, EnabledBadge, RoleBadges } from '@/components/badge'
import { Button } from '@/components/button'
import { ConfirmDialog } from '@/components/confirm'
import { ShortId } from '@/components/copy'
import { Detail, EditAndDelete } from '@/components/detail'
import { Card, Columns, Fact, Facts, Page } from '@/components/page'
import { InlineProblem, Skeleton } from '@/components/states'
import { RelativeTime } from '@/components/time'
import { may } from '@/lib/access'
import { useNow } from '@/lib/use-now'
import { DeleteServiceAccount } from './delete'
import { ServiceAccountForm, TokenForm } from './forms'

const route = getRouteApi('/signed-in/frame/service-accounts/$id')
const LIST = { label: 'Service accounts', to: '/service-accounts' } as const

/** One service account and its tokens. */
export function ServiceAccountPage() {
  const { id } = route.useParams()
  const query = useQuery(serviceAccounts.one(id))
  return (
    <Detail query={query} noun="service account" list={LIST}>
      {(account) => <ServiceAccountDetail account={account} />}
    </Detail>
  )
}

function ServiceAccountDetail({ account }: { account: ServiceAccount }) {
  const navigate = useNavigate()
  const admin = may(useMe(), 'administer')
  const [dialog, setDialog] = useState<'edit' | 'delete' | null>(null)
  const close = () => setDialog(null)
  return (
    <Page
      title={account.name}
      crumbs={[LIST]}
      description={account.description}
      badge={<EnabledBadge enabled={account.enabled} />}
      actions={admin && <EditAndDelete ask={setDialog} />}
    >
      <Columns
        main={
          <>
            <Card title="Service account">
              <Facts>
                <Fact label="Roles">{account.roles.length > 0 && <RoleBadges roles={account.roles} />}</Fact>
                <Fact label="Since">
                  <RelativeTime time={account.created_at} />
                </Fact>
                <Fact label="Id">
                  <ShortId id={account.id} />
                </Fact>
              </Facts>
            </Card>
            <Tokens account={account} editable={admin} />
          </>
        }
        side={<EntityActivity objectId={account.id} />}
      />
      {dialog === 'edit' && <ServiceAccountForm account={account} onClose={close} />}
      {dialog === 'delete' && <DeleteServiceAccount account={account} onClose={close} onDeleted={() => void navigate({ to: '/service-accounts' })} />}
    </Page>
  )
}

function Tokens({ account, editable }: { account: ServiceAccount; editable: boolean }) {
  const query = useQuery(serviceAccounts.tokens(account.id))
  const [creating, setCreating] = useState(false)
  const [revoking, setRevoking] = useState<ApiToken | null>(null)
  return (
    <Card
      flush
      title="Tokens"
      description="A token is shown once, when it is made."
      actions={
        editable && (
          <Button size="sm" icon={Plus} onClick={() => setCreating(true)}>
            New token
          </Button>
        )
      }
    >
      {query.isPending && <Skeleton className="m-4 w-48" />}
      {query.isError && <InlineProblem error={query.error} className="m-4" />}
      {query.data?.items.length === 0 && <p className="px-4 py-6 text-center text-sm text-faint">No tokens: it cannot sign in yet.</p>}
      <ul className="divide-y divide-line">
        {query.data?.items.map((token) => (
          <TokenRow key={token.id} token={token} onRevoke={editable ? () => setRevoking(token) : undefined} />
        ))}
      </ul>
      {creating && <TokenForm account={account} onClose={() => setCreating(false)} />}
      {revoking && (
        <ConfirmDialog
          onClose={() => setRevoking(null)}
          title={`Revoke the token ${revoking.name}?`}
          action="Revoke token"
          onConfirm={async () => {
            await serviceAccounts.revokeToken(account.id, revoking.id)
            toast.success(`The token ${revoking.name} was revoked`)
          }}
        >
          Programs that use it are refused from now on. This cannot be undone.
        </ConfirmDialog>
      )}
    </Card>
  )
}

function TokenRow({ token, onRevoke }: { token: ApiToken; onRevoke?: () => void }) {
  const now = useNow()
  const expired = token.expires_at !== null && Date.parse(token.expires_at) < now
  return (
    <li className="flex items-start gap-3 px-4 py-2.5">
      <KeyRound aria-hidden className="mt-1 size-4 shrink-0 text-faint" />
      <div className="min-w-0 flex-1">
        <p className="flex min-w-0 items-center gap-2 text-sm font-medium">
          <span className="text-data truncate">{token.name}</span>
          {expired && <Badge tone="warning">Expired</Badge>}
        </p>
        <p className="text-xs text-faint">
          <code className="font-mono">{token.prefix}…</code> · {expired ? 'expired' : 'expires'} <RelativeTime time={token.expires_at} none="never" /> · used{' '}
          <RelativeTime time={token.last_used_at} none="never" />
        </p>
        {token.scopes.length > 0 && (
          <p className="mt-1 flex flex-wrap gap-1">
            {token.scopes.map((scope) => (
              <Badge key={scope} tone="outline" className="font-mono">
                {scope}
              </Badge>
            ))}
          </p>
        )}
      </div>
      {onRevoke && (
        <Button size="sm" variant="danger-ghost" onClick={onRevoke}>
          Revoke…
        </Button>
      )}
    </li>
  )
}
