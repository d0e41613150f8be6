import { useQuery } from '@tanstack/react-query'
import { useRef, useState } from 'react'
import { Controller } from 'react-hook-form'
import { toast } from 'sonner'
import { z } from 'zod'
import { useMe } from '@/api/hooks'
import { permissionsQuery, serviceAccounts } from '@/api/hub'
import type { ServiceAccount } from '@/api/types'
import { Button } from '@/components/button'
import { CopyButton } from '@/components/copy'
import { Dialog, DialogBody, DialogFooter } from '@/components/dialog'
import { Field, Input, Select, SwitchField, Textarea } from '@/components/field'
import { FormPanel } from '@/components/form'
import { MultiPick } from '@/components/pickers'
import { RolesField } from '@/components/roles-field'
import { Notice } from '@/components/states'
import { permissionName, permissionsOf } from '@/lib/access'
import { changesOf } from '@/lib/changes'
import { descriptionRule, nameRule, rolesRule } from '@/lib/schema'

const schema = z.object({ name: nameRule, description: descriptionRule, enabled: z.boolean(), roles: rolesRule })

/** Creates or changes a service account. */
export const ServiceAccountForm = ({ account, onClose, onCreated }: { account: ServiceAccount | null; onClose: () => void; onCreated?: (account: ServiceAccount) => void }) => (
  <FormPanel title={account ? `Edit ${account.name}` : 'New service account'} action={account ? 'Save' : 'Create service account'} onClose={onClose} schema={schema}
    values={{ name: account?.name ?? '', description: account?.description ?? '', enabled: account?.enabled ?? true, roles: account?.roles ?? [] }}
    onSubmit={async (values) => {
      const saved = account ? await serviceAccounts.update(account.id, changesOf(account, values)) : await serviceAccounts.create(values)
      toast.success(account ? `${saved.name} saved` : `Service account ${saved.name} created`)
      if (!account) onCreated?.(saved)
    }}>
    {({ register, control, formState: { errors } }) => (
      <>
        <Field label="Name" error={errors.name?.message}><Input {...register('name')} autoFocus placeholder="deployment" /></Field>
        <Field label="Description" optional error={errors.description?.message}><Textarea {...register('description')} rows={2} /></Field>
        <Controller control={control} name="roles" render={({ field }) => <RolesField value={field.value} onChange={field.onChange} />} />
        {account && <Controller control={control} name="enabled" render={({ field }) => <SwitchField label="Enabled" help="Disabled, none of its tokens is accepted." checked={field.value} onChange={field.onChange} />} />}
      </>
    )}
  </FormPanel>
)

const DAY = 86_400_000
const tokenSchema = z.object({ name: nameRule, scopes: z.array(z.string()), lifetime: z.enum(['7', '30', '90', '365']) })

/** Creates a token and shows it, this once. */
export function TokenForm({ account, onClose }: { account: ServiceAccount; onClose: () => void }) {
  const me = useMe()
  const known = useQuery(permissionsQuery).data?.items ?? []
  const [token, setToken] = useState<string | null>(null)
  // The form closes itself after it was sent; then the token is still to be shown.
  const made = useRef(false)
  if (token) return <TokenOnce token={token} onClose={onClose} />
  return (
    <FormPanel title={`New token for ${account.name}`} action="Create token" onClose={() => !made.current && onClose()} schema={tokenSchema}
      values={{ name: '', scopes: [], lifetime: '90' }}
      onSubmit={async ({ name, scopes, lifetime }) => {
        const created = await serviceAccounts.createToken(account.id, { name, scopes, expires_at: new Date(Date.now() + Number(lifetime) * DAY).toISOString() })
        made.current = true
        setToken(created.token)
      }}>
      {({ register, control, formState: { errors } }) => (
        <>
          {account.roles.length === 0 && (
            <Notice>
              {account.name} has no role: what uses this token is refused everywhere until the account is given one.
            </Notice>
          )}
          {!account.enabled && <Notice>{account.name} is disabled: none of its tokens is accepted until it is enabled.</Notice>}
          <Field label="Name" error={errors.name?.message} help="Where it is used, so that it can be found again."><Input {...register('name')} autoFocus placeholder="build server" /></Field>
          <Field label="Valid for"><Select {...register('lifetime')}><option value="7">7 days</option><option value="30">30 days</option><option value="90">90 days</option><option value="365">1 year</option></Select></Field>
          <Field label="Limited to" optional error={errors.scopes?.message} help={account.roles.length === 0 ? 'There is nothing to limit yet.' : 'Without a limit it may do what the roles of the account allow.'}>
            <Controller control={control} name="scopes" render={({ field }) => <MultiPick noun="permissions" value={field.value} onChange={field.onChange} options={permissionsOf(me, known, account.roles).map((permission) => ({ id: permission.name, label: permissionName(permission), hint: permission.name }))} />} />
          </Field>
        </>
      )}
    </FormPanel>
  )
}

/** The one time that a token is seen. Closing by a slip of the hand asks, until it was copied. */
function TokenOnce({ token, onClose }: { token: string; onClose: () => void }) {
  const [copied, setCopied] = useState(false)
  const [leaving, setLeaving] = useState(false)
  return (
    <Dialog open onClose={() => (copied ? onClose() : setLeaving(true))} title="Copy the token now" description="It is shown this once only. The hub keeps a fingerprint of it, not the token.">
      <DialogBody>
        <div className="flex items-center gap-2 rounded-lg border bg-sunken p-3">
          <code data-testid="token" onCopy={() => setCopied(true)} className="min-w-0 flex-1 font-mono text-xs break-all select-all">
            {token}
          </code>
          <CopyButton text={token} label="Copy token" onCopied={() => setCopied(true)} />
        </div>
      </DialogBody>
      <DialogFooter>
        <Button variant="primary" onClick={onClose}>
          I have stored it
        </Button>
      </DialogFooter>
      <Dialog open={leaving} onClose={() => setLeaving(false)} title="Close without the token?">
        <DialogBody className="pt-1 text-sm text-muted">It was not copied, and nobody can show it again. You would have to revoke it and make another one.</DialogBody>
        <DialogFooter>
          <Button data-first onClick={() => setLeaving(false)}>
            Show the token
          </Button>
          <Button variant="danger" onClick={onClose}>
            Close without it
          </Button>
        </DialogFooter>
      </Dialog>
    </Dialog>
  )
}
