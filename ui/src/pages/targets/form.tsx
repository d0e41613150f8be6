import { useQuery } from '@tanstack/react-query'
import { Controller } from 'react-hook-form'
import { toast } from 'sonner'
import { z } from 'zod'
import { credentials, groups, targets, zones } from '@/api/hub'
import type { Target } from '@/api/types'
import { Field, Input, Select, SwitchField, Textarea } from '@/components/field'
import { FormPanel } from '@/components/form'
import { MultiPick, TagsInput } from '@/components/pickers'
import { changesOf } from '@/lib/changes'
import { credentialHint } from '@/lib/credentials'
import { descriptionRule, nameRule, orNull } from '@/lib/schema'
import { takenAway } from './taken-away'

const schema = z.object({
  name: nameRule,
  description: descriptionRule,
  host: z.string().trim().min(1, 'Where is it? A host name or an address.').max(253, 'Too long for a host name.').regex(/^[^\s/@]+$/, 'A host name or an address only: no spaces, no user, no path.'),
  port: z.number({ error: 'A number from 1 to 65535.' }).int('A whole number.').min(1, 'From 1 to 65535.').max(65535, 'From 1 to 65535.'),
  zone_id: z.string().min(1, 'Choose the zone it is in.'),
  environment: z.enum(['', 'production', 'staging', 'development']),
  tags: z.array(z.string()).max(32, 'At most 32 tags.'),
  group_ids: z.array(z.string()),
  credential_ids: z.array(z.string()),
  enabled: z.boolean(),
  reason_required: z.boolean(),
  host_key_policy: z.enum(['pinned', 'host_ca']),
  legacy_algorithms: z.boolean(),
})

interface TargetFormProps {
  target: Target | null
  zoneId?: string
  onClose: () => void
  onCreated?: (target: Target) => void
}

/** Creates or changes a target. */
export function TargetForm({ target, zoneId, onClose, onCreated }: TargetFormProps) {
  const zoneList = useQuery(zones.all())
  const groupList = useQuery(groups.all())
  const credentialList = useQuery(credentials.all())
  return (
    <FormPanel<z.infer<typeof schema>>
      title={target ? `Edit ${target.name}` : 'New target'}
      action={target ? 'Save' : 'Create target'}
      onClose={onClose}
      schema={schema}
      values={{
        name: target?.name ?? '',
        description: target?.description ?? '',
        host: target?.host ?? '',
        port: target?.port ?? 22,
        zone_id: target?.zone_id ?? zoneId ?? '',
        environment: target?.environment ?? '',
        tags: target?.tags ?? [],
        group_ids: target?.group_ids ?? [],
        credential_ids: target?.credential_ids ?? [],
        enabled: target?.enabled ?? true,
        reason_required: target?.reason_required ?? false,
        host_key_policy: target?.host_key_policy ?? 'pinned',
        legacy_algorithms: target?.legacy_algorithms ?? false,
      }}
      ask={(values) => (target ? takenAway(target, values) : null)}
      onSubmit={async (values) => {
        const body = { ...values, protocol: target?.protocol ?? 'ssh', description: orNull(values.description), environment: values.environment || null }
        const saved = target ? await targets.update(target.id, changesOf(target, body)) : await targets.create(body)
        toast.success(target ? `Target ${saved.name} saved` : `Target ${saved.name} created`)
        if (!target) onCreated?.(saved)
      }}
    >
      {({ register, control, formState: { errors } }) => (
        <>
          <Field label="Name" error={errors.name?.message}>
            <Input {...register('name')} autoFocus maxLength={120} placeholder="web-01" />
          </Field>
          <div className="grid grid-cols-[minmax(0,1fr)_6rem] gap-3">
            <Field label="Host" error={errors.host?.message}>
              <Input {...register('host')} spellCheck={false} autoCapitalize="off" placeholder="web-01.example.org" />
            </Field>
            <Field label="Port" error={errors.port?.message}>
              <Input {...register('port', { valueAsNumber: true })} type="number" inputMode="numeric" min={1} max={65535} />
            </Field>
          </div>
          <div className="grid gap-5 sm:grid-cols-2 sm:gap-3">
            <Field label="Zone" error={errors.zone_id?.message}>
              {/* Chosen again once the list is there: an option cannot be selected before it exists. */}
              <Select key={zoneList.data ? 'ready' : 'waiting'} {...register('zone_id')}>
                <option value="">Choose a zone…</option>
                {zoneList.data?.map((zone) => (
                  <option key={zone.id} value={zone.id}>
                    {zone.name}
                  </option>
                ))}
              </Select>
            </Field>
            <Field label="Environment">
              <Select {...register('environment')}>
                <option value="">Not said</option>
                <option value="production">Production</option>
                <option value="staging">Staging</option>
                <option value="development">Development</option>
              </Select>
            </Field>
          </div>
          <Field label="Credentials" help="What one may log in with. The first is offered first.">
            <Controller control={control} name="credential_ids" render={({ field }) => (
              <MultiPick noun="credentials" value={field.value} onChange={field.onChange} loading={credentialList.isPending}
                options={(credentialList.data ?? []).map((credential) => ({ id: credential.id, label: credential.name, hint: credentialHint(credential) }))} />
            )} />
          </Field>
          <Field label="Access groups" help="Members of these groups see the target and may connect.">
            <Controller control={control} name="group_ids" render={({ field }) => (
              <MultiPick noun="groups" value={field.value} onChange={field.onChange} loading={groupList.isPending}
                options={(groupList.data ?? []).map(({ id, name, source }) => ({ id, label: name, hint: source === 'oidc' ? 'directory' : undefined }))} />
            )} />
          </Field>
          <Field label="Tags" optional error={errors.tags?.message}>
            <Controller control={control} name="tags" render={({ field }) => <TagsInput value={field.value} onChange={field.onChange} />} />
          </Field>
          <Field label="Description" optional error={errors.description?.message}>
            <Textarea {...register('description')} rows={2} />
          </Field>
          <Field label="Host identity" help="A changed or unknown key always refuses the connection.">
            <Select {...register('host_key_policy')}>
              <option value="pinned">Pinned keys, trusted one by one</option>
              <option value="host_ca">Signed by a trusted host authority</option>
            </Select>
          </Field>
          <Controller control={control} name="reason_required" render={({ field }) => (
            <SwitchField label="Ask for a reason" help="Who connects says why; it is kept with the session." checked={field.value} onChange={field.onChange} />
          )} />
          <Controller control={control} name="legacy_algorithms" render={({ field }) => (
            <SwitchField label="Allow old algorithms" help="Only for machines that cannot be updated: weakens the connection." checked={field.value} onChange={field.onChange} />
          )} />
          <Controller control={control} name="enabled" render={({ field }) => (
            <SwitchField label="Switched on" help="Switched off, nobody can open a session, and open ones end at once." checked={field.value} onChange={field.onChange} />
          )} />
        </>
      )}
    </FormPanel>
  )
}
