import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { KeyRound, Pencil, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { useMe } from '@/api/hooks'
import { credentials, targets } from '@/api/hub'
import { EntityActivity } from '@/components/activity'
import { Badge } from '@/components/badge'
import { Button } from '@/components/button'
import { ConfirmDialog } from '@/components/confirm'
import { ConnectionTestCard } from '@/components/connection-test'
import { CopyValue, ShortId } from '@/components/copy'
import { DetailSkeleton } from '@/components/detail-skeleton'
import { MenuItem, MoreMenu } from '@/components/menu'
import { Card, Columns, Fact, Facts, Page } from '@/components/page'
import { ErrorState } from '@/components/states'
import { RelativeTime } from '@/components/time'
import { may } from '@/lib/access'
import { count } from '@/lib/format'
import { credentialKind } from '../launcher/use-connect'
import { CredentialForm, SecretForm } from './form'

const route = getRouteApi('/signed-in/frame/credentials/$id')

/** One credential: where its secret is, where it is used, whether it works. */
export function CredentialPage() {
  const me = useMe()
  const navigate = useNavigate()
  const { id } = route.useParams()
  const query = useQuery(credentials.one(id))
  const targetList = useQuery(targets.all())
  const [dialog, setDialog] = useState<'edit' | 'secret' | 'delete' | null>(null)
  const credential = query.data
  if (query.isError && !credential) return <ErrorState error={query.error} onRetry={() => void query.refetch()} />
  if (!credential) return <DetailSkeleton />
  const admin = may(me, 'administer')
  const users = targetList.data?.filter((target) => target.credential_ids.includes(credential.id)) ?? []
  return (
    <Page title={credential.name} crumbs={[{ label: 'Credentials', to: '/credentials' }]} badge={<Badge>{credentialKind[credential.kind]}</Badge>} description={credential.description}
      actions={admin && (
        <>
          {credential.managed && <Button icon={KeyRound} onClick={() => setDialog('secret')}>Replace secret</Button>}
          <Button icon={Pencil} onClick={() => setDialog('edit')}>Edit</Button>
          <MoreMenu label="More"><MenuItem icon={Trash2} danger onSelect={() => setDialog('delete')}>Delete…</MenuItem></MoreMenu>
        </>
      )}>
      <Columns
        main={
          <>
            <Card title="Credential">
              <Facts>
                <Fact label="Logs in as"><code className="font-mono text-xs">{credential.username}</code></Fact>
                <Fact label="Secret">{credential.kind === 'ssh_ca' ? 'A certificate is signed for each session' : credential.managed ? 'Stored in the vault through the hub' : 'Referenced in the vault'}</Fact>
                {credential.vault_path && <Fact label="Vault path"><CopyValue value={credential.vault_path} /></Fact>}
                {credential.vault_version !== null && <Fact label="Version">{String(credential.vault_version)}</Fact>}
                {credential.ssh_role && <Fact label="Signing role"><code className="font-mono text-xs">{credential.ssh_role}</code></Fact>}
                <Fact label="Changed"><RelativeTime time={credential.updated_at} /></Fact>
                <Fact label="Id"><ShortId id={credential.id} /></Fact>
              </Facts>
            </Card>
            <Card title="Used by">
              {users.length === 0 && <p className="text-sm text-faint">No target uses it yet.</p>}
              <ul className="flex flex-col gap-1 text-sm">
                {users.map((target) => <li key={target.id}><Link to="/targets/$id" params={{ id: target.id }} className="text-accent-text hover:underline">{target.name}</Link></li>)}
              </ul>
            </Card>
          </>
        }
        side={
          <>
            {admin && <ConnectionTestCard choice="Target" options={users.map(({ id: key, name }) => ({ id: key, label: name }))} run={(target) => credentials.test(credential.id, target ?? '')} />}
            <EntityActivity objectId={credential.id} />
          </>
        } />
      {dialog === 'edit' && <CredentialForm credential={credential} onClose={() => setDialog(null)} />}
      {dialog === 'secret' && <SecretForm credential={credential} onClose={() => setDialog(null)} />}
      {dialog === 'delete' && (
        <ConfirmDialog open onClose={() => setDialog(null)} title={`Delete ${credential.name}?`} action="Delete credential" nameToType={credential.name}
          onConfirm={async () => {
            await credentials.remove(credential.id)
            toast.success(`Credential ${credential.name} deleted`)
            void navigate({ to: '/credentials' })
          }}>
          {credential.target_count > 0 ? <>It is used by <strong>{count(credential.target_count, 'target')}</strong>; nobody can log in there with it any more.</> : 'No target uses it.'}
        </ConfirmDialog>
      )}
    </Page>
  )
}
