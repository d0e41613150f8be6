import { useQuery } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { KeyRound } from 'lucide-react'
import { useState } from 'react'
import { useMe } from '@/api/hooks'
import { credentials, targets } from '@/api/hub'
import type { Credential } from '@/api/types'
import { EntityActivity } from '@/components/activity'
import { Badge } from '@/components/badge'
import { Button } from '@/components/button'
import { ConnectionTestCard } from '@/components/connection-test'
import { CopyValue, ShortId } from '@/components/copy'
import { Detail, EditAndDelete } from '@/components/detail'
import { Card, Columns, Fact, Facts, Page } from '@/components/page'
import { Skeleton } from '@/components/states'
import { TargetLinks } from '@/components/target-links'
import { RelativeTime } from '@/components/time'
import { may } from '@/lib/access'
import { credentialKind } from '@/lib/credentials'
import { DeleteCredential } from './delete'
import { CredentialForm, SecretForm } from './form'

const route = getRouteApi('/signed-in/frame/credentials/$id')
const LIST = { label: 'Credentials', to: '/credentials' } as const

/** One credential: where its secret is, where it is used, whether it works. */
export function CredentialPage() {
  const { id } = route.useParams()
  const query = useQuery(credentials.one(id))
  return (
    <Detail query={query} noun="credential" list={LIST}>
      {(credential) => <CredentialDetail credential={credential} />}
    </Detail>
  )
}

/** Where the secret is, in words. */
const secretPlace = (credential: Credential) =>
  credential.kind === 'ssh_ca' ? 'None: a certificate is signed for each session' : credential.managed ? 'Stored in the vault through the hub' : 'Referenced in the vault'

function CredentialDetail({ credential }: { credential: Credential }) {
  const admin = may(useMe(), 'administer')
  const navigate = useNavigate()
  const targetList = useQuery(targets.all())
  const [dialog, setDialog] = useState<'edit' | 'secret' | 'delete' | null>(null)
  const users = targetList.data?.filter((target) => target.credential_ids.includes(credential.id)) ?? []
  const close = () => setDialog(null)
  return (
    <Page
      title={credential.name}
      crumbs={[LIST]}
      badge={<Badge>{credentialKind[credential.kind]}</Badge>}
      description={credential.description}
      actions={
        admin && (
          <>
            {credential.managed && (
              <Button icon={KeyRound} onClick={() => setDialog('secret')}>
                Replace secret
              </Button>
            )}
            <EditAndDelete ask={setDialog} />
          </>
        )
      }
    >
      <Columns
        main={
          <>
            <Card title="Credential">
              <Facts>
                <Fact label="Logs in as">
                  <code className="font-mono text-xs break-all">{credential.username}</code>
                </Fact>
                <Fact label="Secret">{secretPlace(credential)}</Fact>
                {credential.vault_path && (
                  <Fact label="Vault path">
                    <CopyValue value={credential.vault_path} />
                  </Fact>
                )}
                {credential.vault_version !== null && <Fact label="Version">{String(credential.vault_version)}</Fact>}
                {credential.ssh_role && (
                  <Fact label="Signing role">
                    <code className="font-mono text-xs break-all">{credential.ssh_role}</code>
                  </Fact>
                )}
                <Fact label="Changed">
                  <RelativeTime time={credential.updated_at} />
                </Fact>
                <Fact label="Id">
                  <ShortId id={credential.id} />
                </Fact>
              </Facts>
            </Card>
            <Card title="Used by">
              {targetList.isPending && <Skeleton className="my-1 w-40" />}
              {targetList.data && users.length === 0 && <p className="text-sm text-faint">No target uses it yet. Add it to a target to log in with it.</p>}
              <TargetLinks targets={users} />
            </Card>
          </>
        }
        side={
          <>
            {admin && users.length > 0 && (
              <ConnectionTestCard choice="Target" options={users.map(({ id, name }) => ({ id, label: name }))} run={(target) => credentials.test(credential.id, target ?? '')} />
            )}
            <EntityActivity objectId={credential.id} />
          </>
        }
      />
      {dialog === 'edit' && <CredentialForm credential={credential} onClose={close} />}
      {dialog === 'secret' && <SecretForm credential={credential} onClose={close} />}
      {dialog === 'delete' && <DeleteCredential credential={credential} onClose={close} onDeleted={() => void navigate({ to: '/credentials' })} />}
    </Page>
  )
}
