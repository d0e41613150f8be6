import { useMutation, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { Activity, Ban, KeyRound, LockOpen, LogOut, Pencil, Power, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { useMe } from '@/api/hooks'
import { groups, users } from '@/api/hub'
import type { User } from '@/api/types'
import { EntityActivity } from '@/components/activity'
import { RoleBadges } from '@/components/badge'
import { Button } from '@/components/button'
import { ConfirmDialog } from '@/components/confirm'
import { ShortId } from '@/components/copy'
import { Detail } from '@/components/detail'
import { MenuItem, MenuSeparator, MoreMenu } from '@/components/menu'
import { Card, Columns, Fact, Facts, LINK, Page } from '@/components/page'
import { SessionsThatEnd } from '@/components/sessions-that-end'
import { SignIns } from '@/components/sign-ins'
import { asProblem, InlineProblem, Skeleton } from '@/components/states'
import { RelativeTime } from '@/components/time'
import { may } from '@/lib/access'
import { personName } from '@/lib/format'
import { useNow } from '@/lib/use-now'
import { PasswordForm, UserForm } from './form'
import { isLocked, UserState } from './state'

const route = getRouteApi('/signed-in/frame/users/$id')
const LIST = { label: 'Users', to: '/users' } as const
type Question = 'edit' | 'password' | 'disable' | 'sign-out' | 'delete'

/** One person: roles, groups, where they are signed in. */
export function UserPage() {
  const { id } = route.useParams()
  const query = useQuery(users.one(id))
  return (
    <Detail query={query} noun="user" list={LIST}>
      {(user) => <UserDetail user={user} />}
    </Detail>
  )
}

function UserDetail({ user }: { user: User }) {
  const admin = may(useMe(), 'administer')
  const signIns = useQuery(users.signIns(user.id))
  const groupList = useQuery({ ...groups.all(), enabled: user.group_ids.length > 0 })
  const [question, setQuestion] = useState<Question | null>(null)
  const act = useMutation({ mutationFn: (task: () => Promise<unknown>) => task(), onError: (error) => toast.error(asProblem(error).message) })
  return (
    <Page
      title={personName(user)}
      crumbs={[LIST]}
      description={user.email ?? user.username}
      badge={<UserState user={user} />}
      actions={admin && <Acts user={user} ask={setQuestion} act={(task) => act.mutate(task)} />}
    >
      <Columns
        main={
          <>
            <Card title="Person">
              <Facts>
                <Fact label="User name">
                  <code className="font-mono text-xs break-all">{user.username}</code>
                </Fact>
                <Fact label="E-mail">{user.email}</Fact>
                <Fact label="From">{user.source === 'local' ? 'A local account' : 'The directory'}</Fact>
                <Fact label="Roles">
                  {user.effective_roles.length > 0 && (
                    <RoleBadges roles={user.effective_roles} byGroup={user.effective_roles.filter((role) => !user.roles.includes(role))} />
                  )}
                </Fact>
                <Fact label="Groups">
                  {user.group_ids.length > 0 && (
                    <ul>
                      {user.group_ids.map((group) => (
                        <li key={group}>
                          <Link to="/groups/$id" params={{ id: group }} className={LINK}>
                            {groupList.data?.find((other) => other.id === group)?.name ?? '…'}
                          </Link>
                        </li>
                      ))}
                    </ul>
                  )}
                </Fact>
                <Fact label="Last sign-in">
                  <RelativeTime time={user.last_login_at} none="Never" />
                </Fact>
                <Fact label="Since">
                  <RelativeTime time={user.created_at} />
                </Fact>
                <Fact label="Id">
                  <ShortId id={user.id} />
                </Fact>
              </Facts>
            </Card>
            <Card flush title="Signed in" description="The browsers in which this person is signed in. Signing one out ends the terminals opened there.">
              {signIns.isPending && <Skeleton className="m-4 w-48" />}
              {signIns.isError && <InlineProblem error={signIns.error} className="m-4" />}
              {signIns.data && (
                <SignIns
                  items={signIns.data.items}
                  onEnd={admin ? (session) => act.mutate(() => users.endSignIn(user.id, session.id).then(() => toast.success('Signed out there'))) : undefined}
                />
              )}
            </Card>
          </>
        }
        side={<EntityActivity objectId={user.id} />}
      />
      {question && <Questions user={user} question={question} close={() => setQuestion(null)} />}
    </Page>
  )
}

interface ActsProps {
  user: User
  ask: (question: Question) => void
  act: (task: () => Promise<unknown>) => void
}

function Acts({ user, ask, act }: ActsProps) {
  const me = useMe()
  const navigate = useNavigate()
  const self = user.id === me.user.id
  const name = personName(user)
  const now = useNow()
  const unlock = () => act(() => users.unlock(user.id).then(() => toast.success(`${name} may try to sign in again`)))
  return (
    <>
      {isLocked(user, now) && (
        <Button variant="primary" icon={LockOpen} onClick={unlock}>
          Unlock
        </Button>
      )}
      <Button icon={Pencil} onClick={() => ask('edit')}>
        Edit
      </Button>
      <MoreMenu label="More actions">
        <MenuItem icon={Activity} onSelect={() => void navigate({ to: '/sessions', search: { user_id: user.id } })}>
          Their sessions
        </MenuItem>
        {user.source === 'local' && (
          <MenuItem icon={KeyRound} onSelect={() => ask('password')}>
            Set password…
          </MenuItem>
        )}
        {user.source === 'local' && (
          <MenuItem icon={LockOpen} onSelect={unlock}>
            Unlock after failed sign-ins
          </MenuItem>
        )}
        <MenuItem icon={LogOut} onSelect={() => ask('sign-out')}>
          Sign out everywhere…
        </MenuItem>
        <MenuSeparator />
        {user.enabled ? (
          <MenuItem icon={Ban} danger disabled={self} onSelect={() => ask('disable')}>
            Disable…
          </MenuItem>
        ) : (
          <MenuItem icon={Power} onSelect={() => act(() => users.update(user.id, { enabled: true }).then(() => toast.success(`${name} is enabled`)))}>
            Enable
          </MenuItem>
        )}
        {user.source === 'local' && (
          <MenuItem icon={Trash2} danger disabled={self} onSelect={() => ask('delete')}>
            Delete…
          </MenuItem>
        )}
      </MoreMenu>
    </>
  )
}

function Questions({ user, question, close }: { user: User; question: Question; close: () => void }) {
  const navigate = useNavigate()
  const name = personName(user)
  if (question === 'edit') return <UserForm user={user} onClose={close} />
  if (question === 'password') return <PasswordForm user={user} onClose={close} />
  if (question === 'sign-out') {
    return (
      <ConfirmDialog onClose={close} title={`Sign ${name} out everywhere?`} action="Sign out everywhere" onConfirm={() => users.endAllSignIns(user.id)}>
        They have to sign in again in every browser.
        <SessionsThatEnd of={{ user_id: user.id }} />
      </ConfirmDialog>
    )
  }
  if (question === 'disable') {
    return (
      <ConfirmDialog onClose={close} title={`Disable ${name}?`} action="Disable user" onConfirm={() => users.update(user.id, { enabled: false })}>
        <strong>{name}</strong> is signed out everywhere and cannot sign in until enabled again.
        <SessionsThatEnd of={{ user_id: user.id }} />
      </ConfirmDialog>
    )
  }
  return (
    <ConfirmDialog
      onClose={close}
      title={`Delete ${name}?`}
      action="Delete user"
      nameToType={user.username}
      onConfirm={async () => {
        await users.remove(user.id)
        toast.success(`User ${user.username} deleted`)
        void navigate({ to: '/users' })
      }}
    >
      <strong>{name}</strong> is signed out everywhere and the account is gone. What was done with it stays in the ledger. This cannot be undone.
      <SessionsThatEnd of={{ user_id: user.id }} />
    </ConfirmDialog>
  )
}
