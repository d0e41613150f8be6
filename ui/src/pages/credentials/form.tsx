import { Controller } from 'react-hook-form'
import { toast } from 'sonner'
import { z } from 'zod'
import { credentials, type CredentialBody, type SecretBody } from '@/api/hub'
import type { Credential } from '@/api/types'
import { Field, Input, RadioCards, Select, Textarea } from '@/components/field'
import { FormPanel } from '@/components/form'
import { changesOf } from '@/lib/changes'
import { descriptionRule, nameRule, orNull } from '@/lib/schema'

const schema = z
  .object({
    name: nameRule,
    description: descriptionRule,
    kind: z.enum(['password', 'private_key', 'ssh_ca']),
    username: z.string().trim().min(1, 'Which user to log in as?').max(128, 'At most 128 characters.'),
    source: z.enum(['secret', 'path', 'kept']),
    password: z.string().max(4096),
    private_key: z.string().max(65_536),
    passphrase: z.string().max(1024),
    vault_path: z.string().trim().max(500),
    ssh_role: z.string().trim().max(128),
  })
  .superRefine((value, context) => {
    const need = (path: keyof typeof value, message: string) => {
      if (value[path].trim() === '') context.addIssue({ code: 'custom', path: [path], message })
    }
    if (value.kind === 'ssh_ca') need('ssh_role', 'Name the role of the signing authority.')
    else if (value.source === 'path') need('vault_path', 'Where in the vault is it?')
    else if (value.source === 'secret' && value.kind === 'password') need('password', 'Enter the password.')
    else if (value.source === 'secret') need('private_key', 'Paste the private key.')
  })
type Values = z.infer<typeof schema>

const secretOf = (values: Values): SecretBody =>
  values.kind === 'password'
    ? { password: values.password }
    : { private_key: values.private_key, ...(values.passphrase ? { passphrase: values.passphrase } : {}) }

interface CredentialFormProps {
  credential: Credential | null
  onClose: () => void
  onCreated?: (credential: Credential) => void
}

/** Creates or changes a credential. A secret goes in and never comes out again. */
export function CredentialForm({ credential, onClose, onCreated }: CredentialFormProps) {
  return (
    <FormPanel<Values>
      title={credential ? `Edit ${credential.name}` : 'New credential'}
      description={credential ? undefined : 'How to log in to a target. The secret is kept in the vault; nobody can read it here.'}
      action={credential ? 'Save' : 'Create credential'}
      onClose={onClose}
      schema={schema}
      values={{
        name: credential?.name ?? '', description: credential?.description ?? '', kind: credential?.kind ?? 'password', username: credential?.username ?? '',
        source: credential ? (credential.managed || credential.kind === 'ssh_ca' ? 'kept' : 'path') : 'secret',
        password: '', private_key: '', passphrase: '', vault_path: credential?.vault_path ?? '', ssh_role: credential?.ssh_role ?? '',
      }}
      onSubmit={async (values) => {
        const body: Partial<CredentialBody> = { name: values.name, description: orNull(values.description), username: values.username }
        if (values.kind === 'ssh_ca') body.ssh_role = values.ssh_role
        else if (values.source === 'path') body.vault_path = values.vault_path
        else if (values.source === 'secret') body.secret = secretOf(values)
        const saved = credential ? await credentials.update(credential.id, changesOf(credential, body)) : await credentials.create({ ...body, kind: values.kind } as CredentialBody)
        toast.success(credential ? `Credential ${saved.name} saved` : `Credential ${saved.name} created`)
        if (!credential) onCreated?.(saved)
      }}
    >
      {({ register, control, watch, formState: { errors } }) => {
        const kind = watch('kind')
        const source = watch('source')
        return (
          <>
            <Field label="Name" error={errors.name?.message}><Input {...register('name')} autoFocus placeholder="web root" /></Field>
            {!credential && (
              <Field label="Kind">
                <Select {...register('kind')}>
                  <option value="password">Password</option>
                  <option value="private_key">Private key</option>
                  <option value="ssh_ca">Certificate, signed for each session</option>
                </Select>
              </Field>
            )}
            <Field label="Log in as" error={errors.username?.message}><Input {...register('username')} autoComplete="off" autoCapitalize="off" spellCheck={false} placeholder="root" className="font-mono" /></Field>
            {kind === 'ssh_ca' && (
              <Field label="Signing role" error={errors.ssh_role?.message} help="The role of the vault’s SSH authority that signs for this user name."><Input {...register('ssh_role')} spellCheck={false} className="font-mono" /></Field>
            )}
            {kind !== 'ssh_ca' && !credential && (
              <Controller control={control} name="source" render={({ field }) => (
                <RadioCards legend="Where the secret is" name={field.name} value={field.value} onChange={field.onChange} options={[
                  { value: 'secret', label: 'Store it now', help: 'Enter it here; the hub writes it into the vault.' },
                  { value: 'path', label: 'Already in the vault', help: 'Give the path it is kept at.' },
                ]} />
              )} />
            )}
            {kind !== 'ssh_ca' && source === 'path' && (
              <Field label="Vault path" error={errors.vault_path?.message} help={`Without the key-value mount. Expected there: ${kind === 'password' ? 'password' : 'private_key, and passphrase if it has one'}.`}>
                <Input {...register('vault_path')} spellCheck={false} autoCapitalize="off" placeholder="shared/web/root" className="font-mono" />
              </Field>
            )}
            {source === 'secret' && kind !== 'ssh_ca' && <SecretFields kind={kind} register={register} errors={errors} />}
            <Field label="Description" optional error={errors.description?.message}><Textarea {...register('description')} rows={2} /></Field>
          </>
        )
      }}
    </FormPanel>
  )
}

interface SecretFieldsProps {
  kind: 'password' | 'private_key'
  register: (name: 'password' | 'private_key' | 'passphrase') => object
  errors: Partial<Record<'password' | 'private_key' | 'passphrase', { message?: string }>>
}

function SecretFields({ kind, register, errors }: SecretFieldsProps) {
  if (kind === 'password') {
    return <Field label="Password" error={errors.password?.message} help="Write-only: it cannot be shown again."><Input {...register('password')} type="password" autoComplete="new-password" /></Field>
  }
  return (
    <>
      <Field label="Private key" error={errors.private_key?.message} help="OpenSSH or PEM. Write-only: it cannot be shown again.">
        <Textarea {...register('private_key')} rows={6} spellCheck={false} autoComplete="off" placeholder="-----BEGIN OPENSSH PRIVATE KEY-----" className="font-mono text-xs" />
      </Field>
      <Field label="Passphrase" optional error={errors.passphrase?.message}><Input {...register('passphrase')} type="password" autoComplete="new-password" /></Field>
    </>
  )
}

const secretSchema = z.object({ password: z.string().max(4096), private_key: z.string().max(65_536), passphrase: z.string().max(1024) })

/** Puts a new secret in the place of the one in the vault. */
export function SecretForm({ credential, onClose }: { credential: Credential; onClose: () => void }) {
  const kind = credential.kind === 'private_key' ? 'private_key' : 'password'
  return (
    <FormPanel title={`New secret for ${credential.name}`} description="Written into the vault as a new version; sessions opened from now on use it." action="Store secret" onClose={onClose}
      schema={secretSchema.refine((value) => value[kind] !== '', { path: [kind], message: 'Enter the new secret.' })}
      values={{ password: '', private_key: '', passphrase: '' }}
      onSubmit={async (values) => {
        await credentials.setSecret(credential.id, secretOf({ ...values, kind } as Values))
        toast.success(`The secret of ${credential.name} was replaced`)
      }}>
      {({ register, formState: { errors } }) => <SecretFields kind={kind} register={register} errors={errors} />}
    </FormPanel>
  )
}
