import { useMutation, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { Ban, KeyRound, LockOpen, LogOut, Pencil, Power, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { useMe } from '@/api/hooks'
import { groups, users } from '@/api/hub'
import { EntityActivity } from '@/components/activity'
import { Badge } from '@/components/badge'
import { Button } from '@/components/button'
import { ConfirmDialog } from '@/components/confirm'
import { ShortId } from '@/components/copy'
import { DetailSkeleton } from '@/components/detail-skeleton'
import { MenuItem, MenuSeparator, MoreMenu } from '@/components/menu'
import { Card, Columns, Fact, Facts, Page } from '@/components/page'
import { SignIns } from '@/components/sign-ins'
import { asProblem, ErrorState, InlineProblem } from '@/components/states'
import { RelativeTime } from '@/components/time'
import { may, roleName } from '@/lib/access'
import { PasswordForm, UserForm } from './form'

const route = getRouteApi('/signed-in/frame/users/$id')

/** One person: roles, groups, where they are signed in. */
export function UserPage() {
  const me = useMe()
  const navigate = useNavigate()
  const { id } = route.useParams()
  const query = useQuery(users.one(id))
  const signIns = useQuery(users.signIns(id))
  const groupList = useQuery(groups.all())
  const [dialog, setDialog] = useState<'edit' | 'password' | 'disable' | 'sign-out' | 'delete' | null>(null)
  const act = useMutation({ mutationFn: (task: () => Promise<unknown>) => task(), onError: (error) => toast.error(asProblem(error).message) })
  const user = query.data
  if (query.isError && !user) return <ErrorState error={query.error} onRetry={() => void query.refetch()} />
  if (!user) return <DetailSkeleton />
  const admin = may(me, 'administer')
  const self = user.id === me.user.id
  const name = user.display_name || user.username
  const close = () => setDialog(null)
  return (
    <Page title={name} crumbs={[{ label: 'Users', to: '/users' }]} description={user.email ?? user.username}
      badge={user.enabled ? <Badge tone="success" dot>Enabled</Badge> : <Badge dot>Disabled</Badge>}
      actions={admin && (
        <>
          <Button icon={Pencil} onClick={() => setDialog('edit')}>Edit</Button>
          <MoreMenu label="More">
            {user.source === 'local' && <MenuItem icon={KeyRound} onSelect={() => setDialog('password')}>Set password…</MenuItem>}
            <MenuItem icon={LockOpen} onSelect={() => act.mutate(() => users.unlock(user.id).then(() => toast.success(`${name} may try to sign in again`)))}>Lift the lock after failed sign-ins</MenuItem>
            <MenuItem icon={LogOut} onSelect={() => setDialog('sign-out')}>Sign out everywhere…</MenuItem>
            <MenuSeparator />
            {user.enabled ? <MenuItem icon={Ban} danger disabled={self} onSelect={() => setDialog('disable')}>Disable…</MenuItem>
              : <MenuItem icon={Power} onSelect={() => act.mutate(() => users.update(user.id, { enabled: true }))}>Enable</MenuItem>}
            {user.source === 'local' && <MenuItem icon={Trash2} danger disabled={self} onSelect={() => setDialog('delete')}>Delete…</MenuItem>}
          </MoreMenu>
        </>
      )}>
      <Columns
        main={
          <>
            <Card title="Person">
              <Facts>
                <Fact label="User name"><code className="font-mono text-xs">{user.username}</code></Fact>
                <Fact label="From">{user.source === 'local' ? 'A local account' : 'The directory'}</Fact>
                <Fact label="Roles">{user.effective_roles.length > 0 && user.effective_roles.map((role) => <Badge key={role} tone={role === 'admin' ? 'accent' : 'neutral'}>{roleName(role)}{!user.roles.includes(role) && ' (by group)'}</Badge>)}</Fact>
                <Fact label="Groups">{user.group_ids.length > 0 && user.group_ids.map((group) => <Link key={group} to="/groups/$id" params={{ id: group }} className="text-accent-text hover:underline">{groupList.data?.find((other) => other.id === group)?.name ?? group.slice(-8)}</Link>)}</Fact>
                <Fact label="Last sign-in"><RelativeTime time={user.last_login_at} none="Never" /></Fact>
                <Fact label="Since"><RelativeTime time={user.created_at} /></Fact>
                <Fact label="Id"><ShortId id={user.id} /></Fact>
              </Facts>
            </Card>
            <Card flush title="Signed in" actions={<Link to="/sessions" search={{ user_id: user.id }} className="rounded text-xs text-muted hover:text-fg">Their connections</Link>}>
              {signIns.isError && <InlineProblem error={signIns.error} className="m-4" />}
              {signIns.data && <SignIns items={signIns.data.items} onEnd={admin ? (session) => act.mutate(() => users.endSignIn(user.id, session.id)) : undefined} />}
            </Card>
          </>
        }
        side={<EntityActivity objectId={user.id} />} />
      {dialog === 'edit' && <UserForm user={user} onClose={close} />}
      {dialog === 'password' && <PasswordForm user={user} onClose={close} />}
      {dialog === 'sign-out' && <ConfirmDialog open onClose={close} title={`Sign ${name} out everywhere?`} action="Sign out everywhere" onConfirm={() => users.endAllSignIns(user.id)}>They have to sign in again in every browser.</ConfirmDialog>}
      {dialog === 'disable' && <ConfirmDialog open onClose={close} title={`Disable ${name}?`} action="Disable user" onConfirm={() => users.update(user.id, { enabled: false })}><strong>{name}</strong> is signed out everywhere, their open sessions end at once, and they cannot sign in until enabled again.</ConfirmDialog>}
      {dialog === 'delete' && (
        <ConfirmDialog open onClose={close} title={`Delete ${name}?`} action="Delete user" nameToType={user.username}
          onConfirm={async () => {
            await users.remove(user.id)
            toast.success(`User ${user.username} deleted`)
            void navigate({ to: '/users' })
          }}>Their open sessions end. What they did stays in the ledger. This cannot be undone.</ConfirmDialog>
      )}
    </Page>
  )
}
