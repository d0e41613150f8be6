import { useQuery } from '@tanstack/react-query'
import { Controller } from 'react-hook-form'
import { toast } from 'sonner'
import { z } from 'zod'
import { useMe } from '@/api/hooks'
import { changeSettings, settingsQuery } from '@/api/hub'
import type { Settings } from '@/api/types'
import { Button } from '@/components/button'
import { DetailSkeleton } from '@/components/detail-skeleton'
import { Field, Input, SwitchField, Textarea } from '@/components/field'
import { useHubForm, useUnsavedChanges } from '@/components/form'
import { Card, Page } from '@/components/page'
import { ErrorState, InlineProblem } from '@/components/states'
import { may } from '@/lib/access'
import { forbidden } from '@/lib/forbidden'
import { formatDuration } from '@/lib/format'
import { orNull } from '@/lib/schema'

const minutes = (max: number) => z.number({ error: 'A number of minutes.' }).min(1, 'At least 1 minute.').max(max, `At most ${max} minutes.`)
const schema = z.object({ idle: minutes(1440), duration: minutes(10_080), grace: minutes(60), clipboard_write: z.boolean(), require_reason: z.boolean(), motd: z.string().max(2000, 'At most 2,000 characters.') })

/** What holds for everybody of the tenant. */
export function SettingsPage() {
  const me = useMe()
  const query = useQuery({ ...settingsQuery, enabled: may(me, 'see-settings') })
  if (!may(me, 'see-settings')) return <ErrorState error={forbidden} />
  if (query.isError && !query.data) return <ErrorState error={query.error} onRetry={() => void query.refetch()} />
  if (!query.data) return <DetailSkeleton />
  return <SettingsForm key={JSON.stringify(query.data)} settings={query.data} editable={may(me, 'administer')} />
}

const inWords = (value: number) => (Number.isFinite(value) ? `Minutes: ${formatDuration(value * 60)}.` : 'Minutes.')

function SettingsForm({ settings, editable }: { settings: Settings; editable: boolean }) {
  const { terminal } = settings
  const { form, submit, problem, busy } = useHubForm({
    schema,
    values: { idle: terminal.idle_timeout_seconds / 60, duration: terminal.max_duration_seconds / 60, grace: terminal.resume_grace_seconds / 60, clipboard_write: settings.clipboard_write, require_reason: settings.require_reason, motd: settings.motd ?? '' },
    fieldNames: { 'terminal.idle_timeout_seconds': 'idle', 'terminal.max_duration_seconds': 'duration', 'terminal.resume_grace_seconds': 'grace' },
    onSubmit: async (values) => {
      await changeSettings({
        terminal: { idle_timeout_seconds: Math.round(values.idle * 60), max_duration_seconds: Math.round(values.duration * 60), resume_grace_seconds: Math.round(values.grace * 60) },
        clipboard_write: values.clipboard_write, require_reason: values.require_reason, motd: orNull(values.motd),
      })
      toast.success('Settings saved')
    },
  })
  const { register, control, watch, formState: { errors, isDirty } } = form
  useUnsavedChanges(isDirty && !busy)
  return (
    <Page narrow title="Settings" description="They hold for everybody, from the next session on.">
      <form noValidate onSubmit={(event) => void submit(event)} className="flex flex-col gap-4">
        {problem !== null && <InlineProblem error={problem} />}
        <fieldset disabled={!editable} className="contents">
          <Card title="Terminal sessions">
            <div className="grid gap-5 sm:grid-cols-3">
              <Field label="End when idle for" error={errors.idle?.message} help={inWords(watch('idle'))}><Input type="number" inputMode="numeric" min={1} step="any" {...register('idle', { valueAsNumber: true })} /></Field>
              <Field label="End at the latest after" error={errors.duration?.message} help={inWords(watch('duration'))}><Input type="number" inputMode="numeric" min={1} step="any" {...register('duration', { valueAsNumber: true })} /></Field>
              <Field label="Wait for a lost browser" error={errors.grace?.message} help={inWords(watch('grace'))}><Input type="number" inputMode="numeric" min={1} step="any" {...register('grace', { valueAsNumber: true })} /></Field>
            </div>
          </Card>
          <Card title="Rules">
            <div className="flex flex-col gap-4">
              <Controller control={control} name="require_reason" render={({ field }) => <SwitchField label="Ask for a reason everywhere" help="Also for targets that do not ask by themselves." checked={field.value} onChange={field.onChange} disabled={!editable} />} />
              <Controller control={control} name="clipboard_write" render={({ field }) => <SwitchField label="Targets may write to the clipboard" help="Programs on a target can put text on the clipboard of the browser." checked={field.value} onChange={field.onChange} disabled={!editable} />} />
            </div>
          </Card>
          <Card title="Message">
            <Field label="Message of the day" optional error={errors.motd?.message} help="Shown in the terminal before each session."><Textarea rows={4} {...register('motd')} /></Field>
          </Card>
          {editable && <div className="sticky bottom-0 flex justify-end gap-2 bg-canvas py-3"><Button disabled={!isDirty} onClick={() => form.reset()}>Discard</Button><Button type="submit" variant="primary" busy={busy} disabled={!isDirty}>Save settings</Button></div>}
        </fieldset>
      </form>
    </Page>
  )
}
