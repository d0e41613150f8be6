import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import type { ColumnDef } from '@tanstack/react-table'
import { Network, Pencil, Plus, Trash2 } from 'lucide-react'
import { useCallback, useMemo, useState } from 'react'
import { Controller } from 'react-hook-form'
import { toast } from 'sonner'
import { z } from 'zod'
import { useMe } from '@/api/hooks'
import { sites, zones } from '@/api/hub'
import type { Zone } from '@/api/types'
import { Badge } from '@/components/badge'
import { Button } from '@/components/button'
import { ConfirmDialog } from '@/components/confirm'
import { DataTable } from '@/components/data-table'
import { Field, Input, RadioCards, Select, Textarea } from '@/components/field'
import { SearchInput } from '@/components/filters'
import { FormPanel } from '@/components/form'
import { MenuItem, MoreMenu } from '@/components/menu'
import { Page } from '@/components/page'
import { EmptyState } from '@/components/states'
import { RelativeTime } from '@/components/time'
import { may } from '@/lib/access'
import { count } from '@/lib/format'
import { descriptionRule, nameRule, orNull } from '@/lib/schema'
import { useChangeSearch } from '@/lib/use-list-search'
import type { NamedSearch } from '@/router'

const route = getRouteApi('/signed-in/frame/zones')

/** The networks in which targets are. */
export function ZonesPage() {
  const me = useMe()
  const { q } = route.useSearch()
  const change = useChangeSearch<NamedSearch>()
  const setText = useCallback((text: string | undefined) => change({ q: text }), [change])
  const [editing, setEditing] = useState<Zone | 'new' | null>(null)
  const [deleting, setDeleting] = useState<Zone | null>(null)
  const query = useInfiniteQuery(zones.list({ q }))
  const admin = may(me, 'administer')
  const columns = useMemo<ColumnDef<Zone>[]>(
    () => [
      {
        id: 'name',
        header: 'Name',
        accessorFn: (zone) => zone.name,
        enableHiding: false,
        cell: ({ row: { original: zone } }) => (
          <div>
            <Link to="/targets" search={{ zone_id: zone.id }} className="block truncate font-medium text-fg after:absolute after:inset-0">
              {zone.name}
            </Link>
            {zone.description && <span className="block truncate text-xs text-faint">{zone.description}</span>}
          </div>
        ),
      },
      {
        id: 'type',
        header: 'Reached',
        accessorFn: (zone) => zone.type,
        meta: { className: 'w-36' },
        cell: ({ row }) => <Badge>{row.original.type === 'hub' ? 'Directly' : 'By satellite'}</Badge>,
      },
      {
        id: 'targets',
        header: 'Targets',
        accessorFn: (zone) => zone.target_count,
        meta: { className: 'w-28 tabular-nums', from: 'sm' },
        cell: ({ row }) => row.original.target_count,
      },
      {
        id: 'updated',
        header: 'Changed',
        accessorFn: (zone) => zone.updated_at,
        meta: { className: 'w-32', from: 'md' },
        cell: ({ row }) => <RelativeTime time={row.original.updated_at} />,
      },
      {
        id: 'actions',
        header: '',
        enableHiding: false,
        enableSorting: false,
        meta: { className: 'w-12' },
        cell: ({ row: { original: zone } }) =>
          admin && (
            <MoreMenu label={`Acts for ${zone.name}`}>
              <MenuItem icon={Pencil} onSelect={() => setEditing(zone)}>
                Edit…
              </MenuItem>
              <MenuItem icon={Trash2} danger onSelect={() => setDeleting(zone)}>
                Delete…
              </MenuItem>
            </MoreMenu>
          ),
      },
    ],
    [admin],
  )
  const create = (
    <Button variant="primary" icon={Plus} onClick={() => setEditing('new')}>
      New zone
    </Button>
  )
  return (
    <Page
      title="Zones"
      description="A zone is a network. Targets in it are reached directly by the hub, or through a satellite of a site."
      actions={admin && create}
    >
      <DataTable
        name="zones"
        label="Zones"
        query={query}
        columns={columns}
        rowId={(zone) => zone.id}
        sort={[{ id: 'name', desc: false }]}
        toolbar={<SearchInput value={q} onChange={setText} placeholder="Find a zone…" />}
        empty={
          <EmptyState icon={Network} title={q ? 'No zone matches' : 'No zones yet'} action={admin && !q && create}>
            {q ? 'Try another word.' : 'Start with one for the network that the hub itself can reach.'}
          </EmptyState>
        }
      />
      {editing && <ZoneForm zone={editing === 'new' ? null : editing} onClose={() => setEditing(null)} />}
      {deleting && (
        <ConfirmDialog
          open
          onClose={() => setDeleting(null)}
          title={`Delete the zone ${deleting.name}?`}
          action="Delete zone"
          nameToType={deleting.name}
          onConfirm={async () => {
            await zones.remove(deleting.id)
            toast.success(`Zone ${deleting.name} deleted`)
          }}
        >
          {deleting.target_count > 0 ? (
            <>It still has <strong>{count(deleting.target_count, 'target')}</strong>. Move or delete them first, or the hub will refuse.</>
          ) : (
            'It has no targets. This cannot be undone.'
          )}
        </ConfirmDialog>
      )}
    </Page>
  )
}

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
        const saved = zone ? await zones.update(zone.id, body) : await zones.create(body)
        toast.success(zone ? `Zone ${saved.name} saved` : `Zone ${saved.name} created`)
        onSaved?.(saved)
      }}
    >
      {({ register, control, watch, formState: { errors } }) => (
        <>
          <Field label="Name" error={errors.name?.message}>
            <Input {...register('name')} autoFocus maxLength={120} placeholder="Head office" />
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
                  { value: 'satellite', label: 'By satellite', help: 'Through a satellite in an isolated network that dials out to the hub.' },
                ]}
              />
            )}
          />
          {watch('type') === 'satellite' && (
            <Field
              label="Site"
              error={errors.site_id?.message}
              help={siteList.data?.length === 0 ? <>There are no sites yet: <Link to="/sites" className="text-accent-text">create one</Link> first.</> : undefined}
            >
              <Select {...register('site_id')}>
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
