import { useQuery } from '@tanstack/react-query'
import { Controller } from 'react-hook-form'
import { toast } from 'sonner'
import { z } from 'zod'
import { groups, users } from '@/api/hub'
import type { User } from '@/api/types'
import { Field, Input } from '@/components/field'
import { FormPanel } from '@/components/form'
import { MultiPick } from '@/components/pickers'
import { RolesField } from '@/components/roles-field'
import { changesOf } from '@/lib/changes'
import { orNull, passwordRule, rolesRule } from '@/lib/schema'

const schema = z.object({
  username: z.string().trim().min(1, 'Give a user name.').max(128, 'At most 128 characters.'),
  display_name: z.string().trim().max(200, 'At most 200 characters.'),
  email: z.union([z.literal(''), z.email('This is not an e-mail address.')]),
  password: z.union([z.literal(''), passwordRule]),
  roles: rolesRule,
  group_ids: z.array(z.string()),
})

/** Creates a local account or changes someone; who comes from the directory keeps name and address from there. */
export function UserForm({ user, onClose, onCreated }: { user: User | null; onClose: () => void; onCreated?: (user: User) => void }) {
  const groupList = useQuery(groups.all())
  const local = user === null || user.source === 'local'
  const choices = (groupList.data ?? []).filter((group) => group.source === 'local')
  const given = user?.group_ids.filter((id) => choices.some((group) => group.id === id))
  // Which of the person's groups are local is known once the groups are.
  if (user && !groupList.data) return null
  return (
    <FormPanel title={user ? `Edit ${user.display_name || user.username}` : 'New local user'} action={user ? 'Save' : 'Create user'} onClose={onClose}
      schema={user ? schema : schema.refine((value) => value.password !== '', { path: ['password'], message: 'Set a first password.' })}
      values={{ username: user?.username ?? '', display_name: user?.display_name ?? '', email: user?.email ?? '', password: '', roles: user?.roles ?? [], group_ids: given ?? [] }}
      onSubmit={async (values) => {
        const { roles, group_ids } = values
        const facts = { display_name: orNull(values.display_name), email: orNull(values.email) }
        if (user) await users.update(user.id, changesOf(user, local ? { ...facts, roles, group_ids } : { roles }))
        const created = user ? null : await users.create({ ...facts, username: values.username, password: values.password, roles, group_ids })
        toast.success(user ? `${user.username} saved` : `User ${values.username} created`)
        if (created) onCreated?.(created)
      }}>
      {({ register, control, formState: { errors } }) => (
        <>
          {!user && <Field label="User name" error={errors.username?.message}><Input {...register('username')} autoFocus autoComplete="off" autoCapitalize="off" spellCheck={false} /></Field>}
          {local && (
            <>
              <Field label="Name" optional error={errors.display_name?.message}><Input {...register('display_name')} autoComplete="off" /></Field>
              <Field label="E-mail" optional error={errors.email?.message}><Input {...register('email')} type="email" autoComplete="off" /></Field>
            </>
          )}
          {!user && <Field label="Password" error={errors.password?.message} help="At least 12 characters. Pass it on by a safe way."><Input {...register('password')} type="password" autoComplete="new-password" /></Field>}
          <Controller control={control} name="roles" render={({ field }) => <RolesField value={field.value} onChange={field.onChange} />} />
          {local && (
            <Field label="Groups" help="Groups decide which targets one sees.">
              <Controller control={control} name="group_ids" render={({ field }) => <MultiPick noun="groups" loading={groupList.isPending} value={field.value} onChange={field.onChange} options={choices.map(({ id, name }) => ({ id, label: name }))} />} />
            </Field>
          )}
        </>
      )}
    </FormPanel>
  )
}

const passwordSchema = z.object({ password: passwordRule })

/** Sets a new password for a local account. */
export const PasswordForm = ({ user, onClose }: { user: User; onClose: () => void }) => (
  <FormPanel title={`New password for ${user.username}`} description="Everywhere they are signed in, they are signed out." action="Set password" onClose={onClose} schema={passwordSchema} values={{ password: '' }}
    onSubmit={async ({ password }) => {
      await users.setPassword(user.id, password)
      toast.success(`The password of ${user.username} was changed`)
    }}>
    {({ register, formState: { errors } }) => <Field label="New password" error={errors.password?.message} help="At least 12 characters. Pass it on by a safe way."><Input {...register('password')} type="password" autoComplete="new-password" autoFocus /></Field>}
  </FormPanel>
)
