import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import type { ColumnDef } from '@tanstack/react-table'
import { Network } from 'lucide-react'
import { Controller } from 'react-hook-form'
import { toast } from 'sonner'
import { z } from 'zod'
import { sites, zones } from '@/api/hub'
import type { Zone } from '@/api/types'
import { Badge } from '@/components/badge'
import { changedColumn, nameColumn } from '@/components/columns'
import { ConfirmDialog } from '@/components/confirm'
import { ROW_LINK } from '@/components/data-table'
import { Field, Input, RadioCards, Select, Textarea } from '@/components/field'
import { FormPanel } from '@/components/form'
import { ListPage } from '@/components/list-page'
import { changesOf } from '@/lib/changes'
import { count } from '@/lib/format'
import { descriptionRule, nameRule, orNull } from '@/lib/schema'

const columns: ColumnDef<Zone>[] = [
  nameColumn({
    under: (zone) => zone.description,
    cell: (zone) => (
      <Link to="/targets" search={{ zone_id: zone.id }} title={`Targets of ${zone.name}`} className={ROW_LINK}>
        {zone.name}
      </Link>
    ),
  }),
  {
    id: 'type',
    header: 'Reached',
    accessorFn: (zone) => zone.type,
    meta: { className: 'w-32 sm:w-36' },
    cell: ({ row }) => <Badge>{row.original.type === 'hub' ? 'Directly' : 'By satellite'}</Badge>,
  },
  {
    id: 'targets',
    header: 'Targets',
    accessorFn: (zone) => zone.target_count,
    meta: { className: 'w-28 tabular-nums', from: 'sm' },
    cell: ({ row }) => row.original.target_count.toLocaleString('en'),
  },
  changedColumn(),
]

/** The networks in which targets are. */
export const ZonesPage = () => (
  <ListPage
    title="Zones"
    noun="zone"
    icon={Network}
    description="A zone is a network. Targets in it are reached directly by the hub, or through a satellite of a site."
    about="Start with one for the network that the hub itself can reach; targets are put into it."
    list={(q) => zones.list({ q })}
    columns={columns}
    form={(zone, close) => <ZoneForm zone={zone} onClose={close} />}
    remove={(zone, close) => <DeleteZone zone={zone} onClose={close} />}
  />
)

const DeleteZone = ({ zone, onClose }: { zone: Zone; onClose: () => void }) => (
  <ConfirmDialog
    onClose={onClose}
    title={`Delete the zone ${zone.name}?`}
    action="Delete zone"
    nameToType={zone.name}
    onConfirm={async () => {
      await zones.remove(zone.id)
      toast.success(`Zone ${zone.name} deleted`)
    }}
  >
    {zone.target_count > 0 ? (
      <>
        It still has <strong>{count(zone.target_count, 'target')}</strong>. A zone is deleted only when it is empty:{' '}
        <Link to="/targets" search={{ zone_id: zone.id }} className="text-accent-text hover:underline">
          move or delete them
        </Link>{' '}
        first.
      </>
    ) : (
      'It has no targets, so no session ends. This cannot be undone.'
    )}
  </ConfirmDialog>
)

const schema = z
  .object({ name: nameRule, description: descriptionRule, type: z.enum(['hub', 'satellite']), site_id: z.string() })
  .refine((zone) => zone.type === 'hub' || zone.site_id !== '', { path: ['site_id'], message: 'Choose the site whose satellites serve it.' })

/** Creates or changes a zone. */
export function ZoneForm({ zone, onClose, onSaved }: { zone: Zone | null; onClose: () => void; onSaved?: (zone: Zone) => void }) {
  const siteList = useQuery(sites.all())
  return (
    <FormPanel
      title={zone ? `Edit ${zone.name}` : 'New zone'}
      action={zone ? 'Save' : 'Create zone'}
      onClose={onClose}
      schema={schema}
      values={{ name: zone?.name ?? '', description: zone?.description ?? '', type: zone?.type ?? 'hub', site_id: zone?.site_id ?? '' }}
      onSubmit={async (values) => {
        const body = {
          name: values.name,
          description: orNull(values.description),
          type: values.type,
          site_id: values.type === 'satellite' ? values.site_id : null,
        }
        const saved = zone ? await zones.update(zone.id, changesOf(zone, body)) : await zones.create(body)
        toast.success(zone ? `Zone ${saved.name} saved` : `Zone ${saved.name} created`)
        onSaved?.(saved)
      }}
    >
      {({ register, control, watch, formState: { errors } }) => (
        <>
          <Field label="Name" error={errors.name?.message}>
            <Input {...register('name')} autoFocus placeholder="Head office" />
          </Field>
          <Field label="Description" optional error={errors.description?.message}>
            <Textarea {...register('description')} rows={2} />
          </Field>
          <Controller
            control={control}
            name="type"
            render={({ field }) => (
              <RadioCards
                legend="How it is reached"
                name={field.name}
                value={field.value}
                onChange={field.onChange}
                options={[
                  { value: 'hub', label: 'Directly', help: 'The hub connects to the targets itself.' },
                  { value: 'satellite', label: 'By satellite (not available yet)', help: 'There are no satellites yet: targets in such a zone cannot be reached.' },
                ]}
              />
            )}
          />
          {watch('type') === 'satellite' && (
            <Field
              label="Site"
              error={errors.site_id?.message}
              help={siteList.data?.length === 0 ? <>There are no sites yet: <Link to="/sites" className="text-accent-text hover:underline">create one</Link> first.</> : undefined}
            >
              {/* Chosen again once the list is there: an option cannot be selected before it exists. */}
              <Select key={siteList.data ? 'ready' : 'waiting'} {...register('site_id')}>
                <option value="">Choose a site…</option>
                {siteList.data?.map((site) => (
                  <option key={site.id} value={site.id}>
                    {site.name}
                  </option>
                ))}
              </Select>
            </Field>
          )}
        </>
      )}
    </FormPanel>
  )
}
