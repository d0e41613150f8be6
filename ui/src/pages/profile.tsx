import { useMutation, useQuery } from '@tanstack/react-query'
import { KeyRound } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { z } from 'zod'
import { useMe } from '@/api/hooks'
import { changeOwnPassword, endOwnSignIn, ownSignIns } from '@/api/hub'
import { Badge } from '@/components/badge'
import { Button } from '@/components/button'
import { Field, Input } from '@/components/field'
import { FormPanel } from '@/components/form'
import { Card, Fact, Facts, Page } from '@/components/page'
import { SignIns } from '@/components/sign-ins'
import { asProblem, InlineProblem } from '@/components/states'
import { RelativeTime } from '@/components/time'
import { roleName } from '@/lib/access'
import { queryClient } from '@/lib/query-client'
import { passwordRule } from '@/lib/schema'

/** Oneself: who one is here, where one is signed in, the password. */
export function ProfilePage() {
  const me = useMe()
  const signIns = useQuery(ownSignIns)
  const [changing, setChanging] = useState(false)
  const end = useMutation({
    mutationFn: endOwnSignIn,
    onSuccess: () => {
      toast.success('Signed out there')
      return queryClient.invalidateQueries({ queryKey: ownSignIns.queryKey })
    },
    onError: (error) => toast.error(asProblem(error).message),
  })
  return (
    <Page narrow title="Your profile" actions={me.user.source === 'local' && <Button icon={KeyRound} onClick={() => setChanging(true)}>Change password</Button>}>
      <div className="flex flex-col gap-4">
        {me.oidc_groups_overage && (
          <p role="note" className="rounded-lg bg-warning-soft px-3 py-2.5 text-sm text-warning-text">You are in more directory groups than the provider puts into a sign-in, so your groups are not known here and what they would open is missing. Ask your administrator to limit the groups sent to this application.</p>
        )}
        <Card title={me.user.display_name || me.user.username}>
          <Facts>
            <Fact label="User name"><code className="font-mono text-xs">{me.user.username}</code></Fact>
            <Fact label="E-mail">{me.user.email}</Fact>
            <Fact label="Tenant">{me.tenant.name}</Fact>
            <Fact label="Account">{me.user.source === 'local' ? 'Local' : 'From the directory'}</Fact>
            <Fact label="Roles">{me.roles.length > 0 && me.roles.map((role) => <Badge key={role} tone={role === 'admin' ? 'accent' : 'neutral'}>{roleName(role)}</Badge>)}</Fact>
            <Fact label="Groups">{me.groups.length > 0 && me.groups.map((group) => <Badge key={group.id} tone="outline">{group.name}</Badge>)}</Fact>
            <Fact label="This sign-in ends">at the latest <RelativeTime time={me.auth_session.expires_at} /></Fact>
          </Facts>
        </Card>
        <Card flush title="Where you are signed in" description="End what you do not know. Terminals that were opened there end too.">
          {signIns.isError && <InlineProblem error={signIns.error} className="m-4" />}
          {signIns.data && <SignIns items={signIns.data.items} onEnd={(session) => end.mutate(session.id)} />}
        </Card>
      </div>
      {changing && <PasswordPanel onClose={() => setChanging(false)} />}
    </Page>
  )
}

const schema = z
  .object({ current_password: z.string().min(1, 'Enter your password of now.'), new_password: passwordRule, again: z.string() })
  .refine((value) => value.new_password === value.again, { path: ['again'], message: 'The two are not the same.' })

const PasswordPanel = ({ onClose }: { onClose: () => void }) => (
  <FormPanel title="Change password" description="You stay signed in here; everywhere else you are signed out." action="Change password" onClose={onClose} schema={schema} values={{ current_password: '', new_password: '', again: '' }}
    fieldOfCode={{ invalid_credentials: { field: 'current_password', message: 'This is not your password of now.' } }}
    onSubmit={async ({ current_password, new_password }) => {
      await changeOwnPassword({ current_password, new_password })
      toast.success('Your password was changed')
    }}>
    {({ register, formState: { errors } }) => (
      <>
        <Field label="Password now" error={errors.current_password?.message}><Input {...register('current_password')} type="password" autoComplete="current-password" autoFocus /></Field>
        <Field label="New password" error={errors.new_password?.message} help="At least 12 characters; a few unrelated words are good."><Input {...register('new_password')} type="password" autoComplete="new-password" /></Field>
        <Field label="New password again" error={errors.again?.message}><Input {...register('again')} type="password" autoComplete="new-password" /></Field>
      </>
    )}
  </FormPanel>
)
