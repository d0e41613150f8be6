import { useInfiniteQuery, useMutation, useQuery } from '@tanstack/react-query'
import type { ColumnDef } from '@tanstack/react-table'
import { KeyRound, Pencil, Plus, RotateCcw, Send, Trash2, Webhook as WebhookIcon } from 'lucide-react'
import { useMemo, useRef, useState } from 'react'
import { Controller } from 'react-hook-form'
import { toast } from 'sonner'
import { z } from 'zod'
import { eventTypes, webhooks } from '@/api/hub'
import type { Webhook } from '@/api/types'
import { EnabledBadge } from '@/components/badge'
import { Button } from '@/components/button'
import { nameColumn } from '@/components/columns'
import { ConfirmDialog } from '@/components/confirm'
import { CopyButton } from '@/components/copy'
import { DataTable } from '@/components/data-table'
import { Dialog, DialogBody, DialogFooter } from '@/components/dialog'
import { Field, Input, SwitchField, Textarea } from '@/components/field'
import { FormPanel } from '@/components/form'
import { MenuItem, MoreMenu } from '@/components/menu'
import { MultiPick } from '@/components/pickers'
import { EmptyState } from '@/components/states'
import { RelativeTime } from '@/components/time'
import { changesOf } from '@/lib/changes'
import { descriptionRule, nameRule } from '@/lib/schema'

type Ask = { act: 'new' } | { act: 'edit' | 'delete' | 'rotate'; webhook: Webhook } | { act: 'secret'; secret: string }

/** The addresses that get events. */
export function Webhooks() {
  const query = useInfiniteQuery(webhooks.list())
  const [ask, setAsk] = useState<Ask | null>(null)
  const close = () => setAsk(null)
  const columns = useMemo(() => columnsFor(setAsk), [])
  const create = <Button variant="primary" icon={Plus} onClick={() => setAsk({ act: 'new' })}>New webhook</Button>
  return (
    <>
      <DataTable
        name="webhooks"
        label="Webhooks"
        query={query}
        columns={columns}
        rowId={(webhook) => webhook.id}
        order={[{ id: 'name', desc: false }]}
        dim={(webhook) => !webhook.enabled}
        toolbar={create}
        empty={
          <EmptyState icon={WebhookIcon} title="No webhooks yet" action={create}>
            A webhook sends events to an address of yours, signed, and tries again until it answers.
          </EmptyState>
        }
      />
      {ask?.act === 'new' && <WebhookForm webhook={null} onClose={close} onSecret={(secret) => setAsk({ act: 'secret', secret })} />}
      {ask?.act === 'edit' && <WebhookForm webhook={ask.webhook} onClose={close} />}
      {ask?.act === 'secret' && <SecretOnce secret={ask.secret} onClose={close} />}
      {ask?.act === 'rotate' && (
        <RotateSecret webhook={ask.webhook} onClose={close} onSecret={(secret) => setAsk({ act: 'secret', secret })} />
      )}
      {ask?.act === 'delete' && (
        <ConfirmDialog onClose={close} title={`Delete the webhook ${ask.webhook.name}?`} action="Delete webhook" nameToType={ask.webhook.name}
          onConfirm={async () => {
            await webhooks.remove(ask.webhook.id)
            toast.success(`Webhook ${ask.webhook.name} deleted`)
          }}>
          Events that still wait for it are not sent. This cannot be undone.
        </ConfirmDialog>
      )}
    </>
  )
}

const columnsFor = (ask: (next: Ask) => void): ColumnDef<Webhook>[] => [
  nameColumn({
    under: (webhook) => webhook.url,
    cell: (webhook) => <span className="text-data block truncate font-medium text-fg">{webhook.name}</span>,
  }),
  { id: 'state', header: 'State', enableSorting: false, meta: { className: 'w-28' }, cell: ({ row }) => <EnabledBadge enabled={row.original.enabled} /> },
  { id: 'pending', header: 'Waiting', enableSorting: false, meta: { from: 'sm', className: 'w-24' }, cell: ({ row }) => <span className="tabular-nums">{row.original.pending}</span> },
  { id: 'failed', header: 'Failed', enableSorting: false, meta: { from: 'sm', className: 'w-24' }, cell: ({ row }) => <span className={row.original.failed > 0 ? 'text-danger-text tabular-nums' : 'tabular-nums'}>{row.original.failed}</span> },
  { id: 'last', header: 'Last delivery', enableSorting: false, meta: { from: 'md', className: 'w-32' }, cell: ({ row }) => <RelativeTime time={row.original.last_success_at} none="never" /> },
  {
    id: 'actions',
    header: '',
    enableHiding: false,
    enableSorting: false,
    meta: { className: 'w-12' },
    cell: ({ row: { original: webhook } }) => (
      <MoreMenu label={`Actions for ${webhook.name}`}>
        <MenuItem icon={Send} onSelect={() => void test(webhook)}>Send a test</MenuItem>
        <MenuItem icon={Pencil} onSelect={() => ask({ act: 'edit', webhook })}>Edit…</MenuItem>
        <MenuItem icon={KeyRound} onSelect={() => ask({ act: 'rotate', webhook })}>New secret…</MenuItem>
        {webhook.failed > 0 && <MenuItem icon={RotateCcw} onSelect={() => void replay(webhook)}>Deliver failed events again</MenuItem>}
        <MenuItem icon={Trash2} danger onSelect={() => ask({ act: 'delete', webhook })}>Delete…</MenuItem>
      </MoreMenu>
    ),
  },
]

async function test(webhook: Webhook) {
  try {
    const { delivered, status, error, milliseconds } = await webhooks.test(webhook.id)
    if (delivered) toast.success(`${webhook.name} answered ${status} after ${milliseconds} ms`)
    else toast.error(`${webhook.name}: ${error}`)
  } catch (error) {
    toast.error((error as Error).message)
  }
}

async function replay(webhook: Webhook) {
  try {
    const { deliveries } = await webhooks.replay(webhook.id)
    toast.success(`${deliveries} ${deliveries === 1 ? 'event is' : 'events are'} delivered again`)
  } catch (error) {
    toast.error((error as Error).message)
  }
}

const schema = z.object({
  name: nameRule,
  description: descriptionRule,
  url: z.string().trim().min(1, 'Say where to.').max(2000, 'At most 2,000 characters.'),
  event_types: z.array(z.string()).min(1, 'Choose at least one.'),
  enabled: z.boolean(),
})

const FAMILIES = [
  { id: '*', label: 'Everything' },
  { id: 'openpam.session.*', label: 'All about sessions' },
  { id: 'openpam.user.*', label: 'All about people' },
]

function WebhookForm({ webhook, onClose, onSecret }: { webhook: Webhook | null; onClose: () => void; onSecret?: (secret: string) => void }) {
  const types = useQuery(eventTypes)
  const made = useRef(false)
  const known = [...FAMILIES, ...(types.data?.items ?? []).map(({ event_type }) => ({ id: event_type, label: event_type }))]
  const chosen = (webhook?.event_types ?? []).filter((type) => !known.some(({ id }) => id === type)).map((type) => ({ id: type, label: type }))
  return (
    <FormPanel title={webhook ? `Edit ${webhook.name}` : 'New webhook'} action={webhook ? 'Save' : 'Create webhook'} onClose={() => !made.current && onClose()} schema={schema}
      values={{ name: webhook?.name ?? '', description: webhook?.description ?? '', url: webhook?.url ?? '', event_types: webhook?.event_types ?? [], enabled: webhook?.enabled ?? true }}
      onSubmit={async (values) => {
        if (webhook) {
          await webhooks.update(webhook.id, changesOf(webhook, values))
          toast.success(`Webhook ${values.name} saved`)
          return
        }
        const created = await webhooks.create(values)
        made.current = true
        onSecret?.(created.secret)
      }}>
      {({ register, control, formState: { errors } }) => (
        <>
          <Field label="Name" error={errors.name?.message}><Input {...register('name')} autoFocus placeholder="Ticket system" /></Field>
          <Field label="Address" error={errors.url?.message} help="Begins with https://. It gets a POST for each event and answers with a status of 200 to 299.">
            <Input {...register('url')} type="url" spellCheck={false} className="font-mono" />
          </Field>
          <Field label="Events" error={errors.event_types?.message}>
            <Controller control={control} name="event_types" render={({ field }) => <MultiPick noun="events" value={field.value} onChange={field.onChange} options={[...known, ...chosen]} loading={types.isPending} />} />
          </Field>
          <Field label="Description" optional error={errors.description?.message}><Textarea {...register('description')} rows={2} /></Field>
          <Controller control={control} name="enabled" render={({ field }) => <SwitchField label="Enabled" help="Switched off, it gets no new events; those that wait for it go on waiting." checked={field.value} onChange={field.onChange} />} />
        </>
      )}
    </FormPanel>
  )
}

function RotateSecret({ webhook, onClose, onSecret }: { webhook: Webhook; onClose: () => void; onSecret: (secret: string) => void }) {
  const fresh = useRef<string | null>(null)
  const rotate = useMutation({ mutationFn: () => webhooks.rotateSecret(webhook.id), onSuccess: ({ secret }) => (fresh.current = secret) })
  return (
    <ConfirmDialog onClose={() => (fresh.current ? onSecret(fresh.current) : onClose())} title={`New secret for ${webhook.name}?`} action="Make a new secret" onConfirm={() => rotate.mutateAsync()}>
      Events are signed with it at once, and no longer with the one before.
    </ConfirmDialog>
  )
}

const SecretOnce = ({ secret, onClose }: { secret: string; onClose: () => void }) => (
  <Dialog open onClose={onClose} title="Copy the secret now" description="It is shown this once only. With it the address checks that an event comes from here (Standard Webhooks).">
    <DialogBody>
      <div className="flex items-center gap-2 rounded-lg border bg-sunken p-3"><code data-testid="secret" className="min-w-0 flex-1 font-mono text-xs break-all select-all">{secret}</code><CopyButton text={secret} label="Copy secret" /></div>
    </DialogBody>
    <DialogFooter><Button variant="primary" onClick={onClose}>I have stored it</Button></DialogFooter>
  </Dialog>
)
