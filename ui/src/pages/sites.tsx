import { useInfiniteQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import type { ColumnDef } from '@tanstack/react-table'
import { MapPin, Pencil, Plus, Trash2 } from 'lucide-react'
import { useCallback, useMemo, useState } from 'react'
import { toast } from 'sonner'
import { z } from 'zod'
import { useMe } from '@/api/hooks'
import { sites } from '@/api/hub'
import type { Site } from '@/api/types'
import { Button } from '@/components/button'
import { ConfirmDialog } from '@/components/confirm'
import { DataTable } from '@/components/data-table'
import { Field, Input, Textarea } from '@/components/field'
import { SearchInput } from '@/components/filters'
import { FormPanel } from '@/components/form'
import { MenuItem, MoreMenu } from '@/components/menu'
import { Page } from '@/components/page'
import { EmptyState } from '@/components/states'
import { RelativeTime } from '@/components/time'
import { may } from '@/lib/access'
import { descriptionRule, nameRule, orNull } from '@/lib/schema'
import { useChangeSearch } from '@/lib/use-list-search'
import type { NamedSearch } from '@/router'

const route = getRouteApi('/signed-in/frame/sites')

/** The places whose satellites serve zones. */
export function SitesPage() {
  const me = useMe()
  const { q } = route.useSearch()
  const change = useChangeSearch<NamedSearch>()
  const setText = useCallback((text: string | undefined) => change({ q: text }), [change])
  const [editing, setEditing] = useState<Site | 'new' | null>(null)
  const [deleting, setDeleting] = useState<Site | null>(null)
  const query = useInfiniteQuery(sites.list({ q }))
  const admin = may(me, 'administer')
  const columns = useMemo<ColumnDef<Site>[]>(
    () => [
      {
        id: 'name',
        header: 'Name',
        accessorFn: (site) => site.name,
        enableHiding: false,
        cell: ({ row: { original: site } }) => (
          <div>
            {admin ? (
              <button type="button" onClick={() => setEditing(site)} className="block max-w-full truncate text-left font-medium text-fg after:absolute after:inset-0">
                {site.name}
              </button>
            ) : (
              <span className="block truncate font-medium text-fg">{site.name}</span>
            )}
            {site.description && <span className="block truncate text-xs text-faint">{site.description}</span>}
          </div>
        ),
      },
      {
        id: 'code',
        header: 'Code',
        accessorFn: (site) => site.code,
        meta: { className: 'w-44' },
        cell: ({ row }) => <code className="truncate font-mono text-xs text-muted">{row.original.code}</code>,
      },
      {
        id: 'updated',
        header: 'Changed',
        accessorFn: (site) => site.updated_at,
        meta: { className: 'w-32', from: 'sm' },
        cell: ({ row }) => <RelativeTime time={row.original.updated_at} />,
      },
      {
        id: 'actions',
        header: '',
        enableHiding: false,
        enableSorting: false,
        meta: { className: 'w-12' },
        cell: ({ row: { original: site } }) =>
          admin && (
            <MoreMenu label={`Acts for ${site.name}`}>
              <MenuItem icon={Pencil} onSelect={() => setEditing(site)}>
                Edit…
              </MenuItem>
              <MenuItem icon={Trash2} danger onSelect={() => setDeleting(site)}>
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
      New site
    </Button>
  )
  return (
    <Page title="Sites" description="A site is a place with its own network. Its satellites serve its zones." actions={admin && create}>
      <DataTable
        name="sites"
        label="Sites"
        query={query}
        columns={columns}
        rowId={(site) => site.id}
        sort={[{ id: 'name', desc: false }]}
        toolbar={<SearchInput value={q} onChange={setText} placeholder="Find a site…" />}
        empty={
          <EmptyState icon={MapPin} title={q ? 'No site matches' : 'No sites yet'} action={admin && !q && create}>
            {q ? 'Try another word.' : 'You need one only for networks that the hub cannot reach itself.'}
          </EmptyState>
        }
      />
      {editing && <SiteForm site={editing === 'new' ? null : editing} onClose={() => setEditing(null)} />}
      {deleting && (
        <ConfirmDialog
          open
          onClose={() => setDeleting(null)}
          title={`Delete the site ${deleting.name}?`}
          action="Delete site"
          nameToType={deleting.name}
          onConfirm={async () => {
            await sites.remove(deleting.id)
            toast.success(`Site ${deleting.name} deleted`)
          }}
        >
          A site that still has zones is not deleted. This cannot be undone.
        </ConfirmDialog>
      )}
    </Page>
  )
}

const schema = z.object({
  name: nameRule,
  code: z
    .string()
    .trim()
    .min(2, 'At least 2 characters.')
    .max(40, 'At most 40 characters.')
    .regex(/^[A-Za-z0-9][A-Za-z0-9_-]*$/, 'Letters, digits, - and _ only; begin with a letter or a digit.'),
  description: descriptionRule,
})

function SiteForm({ site, onClose }: { site: Site | null; onClose: () => void }) {
  return (
    <FormPanel
      title={site ? `Edit ${site.name}` : 'New site'}
      action={site ? 'Save' : 'Create site'}
      onClose={onClose}
      schema={schema}
      values={{ name: site?.name ?? '', code: site?.code ?? '', description: site?.description ?? '' }}
      onSubmit={async (values) => {
        const body = { name: values.name, code: values.code, description: orNull(values.description) }
        const saved = site ? await sites.update(site.id, body) : await sites.create(body)
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
}
