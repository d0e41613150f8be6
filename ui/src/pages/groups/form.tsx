import { Controller } from 'react-hook-form'
import { toast } from 'sonner'
import { z } from 'zod'
import { groups } from '@/api/hub'
import type { Group } from '@/api/types'
import { Field, Input, Textarea } from '@/components/field'
import { FormPanel } from '@/components/form'
import { RolesField } from '@/components/roles-field'
import { changesOf } from '@/lib/changes'
import { descriptionRule, nameRule, rolesRule } from '@/lib/schema'

const schema = z.object({ name: nameRule, description: descriptionRule, roles: rolesRule })

/** Creates or changes a local group. */
export const GroupForm = ({ group, onClose, onCreated }: { group: Group | null; onClose: () => void; onCreated?: (group: Group) => void }) => (
  <FormPanel title={group ? `Edit ${group.name}` : 'New group'} action={group ? 'Save' : 'Create group'} onClose={onClose} schema={schema}
    values={{ name: group?.name ?? '', description: group?.description ?? '', roles: group?.roles ?? [] }}
    onSubmit={async (values) => {
      const saved = group ? await groups.update(group.id, changesOf(group, values)) : await groups.create(values)
      toast.success(group ? `Group ${saved.name} saved` : `Group ${saved.name} created`)
      if (!group) onCreated?.(saved)
    }}>
    {({ register, control, formState: { errors } }) => (
      <>
        <Field label="Name" error={errors.name?.message}><Input {...register('name')} autoFocus placeholder="Web operations" /></Field>
        <Field label="Description" optional error={errors.description?.message}><Textarea {...register('description')} rows={2} /></Field>
        <Controller control={control} name="roles" render={({ field }) => <RolesField value={field.value} onChange={field.onChange} />} />
      </>
    )}
  </FormPanel>
)
