import type { ColumnDef } from '@tanstack/react-table'
import { MapPin } from 'lucide-react'
import { toast } from 'sonner'
import { z } from 'zod'
import { sites } from '@/api/hub'
import type { Site } from '@/api/types'
import { changedColumn, nameColumn } from '@/components/columns'
import { ConfirmDialog } from '@/components/confirm'
import { Field, Input, Textarea } from '@/components/field'
import { FormPanel } from '@/components/form'
import { ListPage } from '@/components/list-page'
import { changesOf } from '@/lib/changes'
import { descriptionRule, nameRule, orNull } from '@/lib/schema'

const columns: ColumnDef<Site>[] = [
  nameColumn({
    under: (site) => site.description,
    cell: (site) => (
      <span className="text-data block truncate font-medium text-fg">{site.name}</span>
    ),
  }),
  {
    id: 'code',
    header: 'Code',
    accessorFn: (site) => site.code,
    meta: { className: 'w-32 sm:w-44' },
    cell: ({ row }) => <code className="truncate font-mono text-xs text-muted">{row.original.code}</code>,
  },
  changedColumn('sm'),
]

/** The places whose satellites serve zones. */
export const SitesPage = () => (
  <ListPage
    title="Sites"
    noun="site"
    icon={MapPin}
    description="A site is a place with its own network. Its satellites serve its zones."
    about="You need one only for networks that the hub cannot reach itself: satellites are installed at a site and serve its zones."
    list={(q) => sites.list({ q })}
    columns={columns}
    form={(site, close) => <SiteForm site={site} onClose={close} />}
    remove={(site, close) => (
      <ConfirmDialog
        onClose={close}
        title={`Delete the site ${site.name}?`}
        action="Delete site"
        nameToType={site.name}
        onConfirm={async () => {
          await sites.remove(site.id)
          toast.success(`Site ${site.name} deleted`)
        }}
      >
        A site that still has zones is not deleted. This cannot be undone.
      </ConfirmDialog>
    )}
  />
)

const schema = z.object({
  name: nameRule,
  code: z
    .string()
    .trim()
    .min(1, 'Give it a code.')
    .max(63, 'At most 63 characters.')
    .regex(/^[A-Za-z0-9][A-Za-z0-9_-]*$/, 'Letters, digits, - and _ only; begin with a letter or a digit.'),
  description: descriptionRule,
})

const SiteForm = ({ site, onClose }: { site: Site | null; onClose: () => void }) => (
  <FormPanel
    title={site ? `Edit ${site.name}` : 'New site'}
    action={site ? 'Save' : 'Create site'}
    onClose={onClose}
    schema={schema}
    values={{ name: site?.name ?? '', code: site?.code ?? '', description: site?.description ?? '' }}
    onSubmit={async (values) => {
      const body = { name: values.name, code: values.code, description: orNull(values.description) }
      const saved = site ? await sites.update(site.id, changesOf(site, body)) : await sites.create(body)
      toast.success(site ? `Site ${saved.name} saved` : `Site ${saved.name} created`)
    }}
  >
    {({ register, formState: { errors } }) => (
      <>
        <Field label="Name" error={errors.name?.message}>
          <Input {...register('name')} autoFocus placeholder="Plant Rotterdam" />
        </Field>
        <Field label="Code" error={errors.code?.message} help="Short and stable: satellites name it when they enrol.">
          <Input {...register('code')} spellCheck={false} autoCapitalize="off" placeholder="rotterdam" className="font-mono" />
        </Field>
        <Field label="Description" optional error={errors.description?.message}>
          <Textarea {...register('description')} rows={2} />
        </Field>
      </>
    )}
  </FormPanel>
)
