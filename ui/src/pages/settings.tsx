import { useQuery } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { Controller } from 'react-hook-form'
import { toast } from 'sonner'
import { z } from 'zod'
import { useMe } from '@/api/hooks'
import { changeSettings, recordings, settingsQuery } from '@/api/hub'
import type { Settings } from '@/api/types'
import { Button } from '@/components/button'
import { DetailSkeleton } from '@/components/detail'
import { Dialog, DialogBody, DialogFooter } from '@/components/dialog'
import { Field, Input, SwitchField, Textarea } from '@/components/field'
import { UnsavedChanges, useHubForm } from '@/components/form'
import { Card, Page } from '@/components/page'
import { ErrorState, InlineProblem } from '@/components/states'
import { may } from '@/lib/access'
import { count, formatDuration } from '@/lib/format'
import { orNull } from '@/lib/schema'

const minutes = (max: number) =>
  z.number({ error: 'A number of minutes.' }).min(1, 'At least 1 minute.').max(max, `At most ${max.toLocaleString('en')} minutes.`)
const schema = z.object({
  idle: minutes(1440),
  duration: minutes(10_080),
  grace: minutes(60),
  clipboard_write: z.boolean(),
  require_reason: z.boolean(),
  watch_visible: z.boolean(),
  recorded: z.boolean(),
  // Empty keeps them for ever.
  retention: z.string().regex(/^(|[1-9]\d{0,4})$/, 'A number of days, or nothing.').refine((days) => Number(days) <= 36_500, 'At most 36,500 days.'),
  motd: z.string().max(2000, 'At most 2,000 characters.'),
})
type Values = z.infer<typeof schema>

const valuesOf = (settings: Settings): Values => ({
  idle: settings.terminal.idle_timeout_seconds / 60,
  duration: settings.terminal.max_duration_seconds / 60,
  grace: settings.terminal.resume_grace_seconds / 60,
  clipboard_write: settings.clipboard_write,
  require_reason: settings.require_reason,
  watch_visible: settings.watch_visible,
  recorded: settings.recording.required,
  retention: settings.recording.retention_days === null ? '' : String(settings.recording.retention_days),
  motd: settings.motd ?? '',
})

/** What holds for everybody of the tenant. */
export function SettingsPage() {
  const me = useMe()
  const query = useQuery(settingsQuery)
  if (query.isError && !query.data) return <ErrorState error={query.error} onRetry={() => void query.refetch()} />
  if (!query.data) return <DetailSkeleton />
  return <SettingsForm settings={query.data} editable={may(me, 'administer')} />
}

/** Whether recordings go that stay until now. */
const deletesMore = (before: number | null, after: string): boolean => after !== '' && (before === null || Number(after) < before)

function SettingsForm({ settings, editable }: { settings: Settings; editable: boolean }) {
  const [asking, setAsking] = useState<{ days: number; answer: (yes: boolean) => void } | null>(null)
  const frame = useRef<HTMLFormElement>(null)
  const { form, submit, problem, busy } = useHubForm({
    schema,
    values: valuesOf(settings),
    fieldNames: { 'terminal.idle_timeout_seconds': 'idle', 'terminal.max_duration_seconds': 'duration', 'terminal.resume_grace_seconds': 'grace', 'recording.retention_days': 'retention' },
    onSubmit: async (values) => {
      const { dirtyFields } = form.formState
      if (dirtyFields.retention && deletesMore(settings.recording.retention_days, values.retention)) {
        const yes = await new Promise<boolean>((answer) => setAsking({ days: Number(values.retention), answer }))
        setAsking(null)
        if (!yes) return
      }
      const seconds = (name: 'idle' | 'duration' | 'grace') => (dirtyFields[name] ? Math.round(values[name] * 60) : undefined)
      const saved = await changeSettings({
        terminal: { idle_timeout_seconds: seconds('idle'), max_duration_seconds: seconds('duration'), resume_grace_seconds: seconds('grace') },
        clipboard_write: dirtyFields.clipboard_write ? values.clipboard_write : undefined,
        require_reason: dirtyFields.require_reason ? values.require_reason : undefined,
        watch_visible: dirtyFields.watch_visible ? values.watch_visible : undefined,
        recording: {
          required: dirtyFields.recorded ? values.recorded : undefined,
          retention_days: dirtyFields.retention ? (values.retention === '' ? null : Number(values.retention)) : undefined,
        },
        motd: dirtyFields.motd ? orNull(values.motd) : undefined,
      })
      form.reset(valuesOf(saved))
      toast.success('Settings saved')
    },
  })
  const { register, control, watch, reset, formState: { errors, isDirty } } = form
  // What someone else changed meanwhile shows, except in the fields one is changing oneself.
  useEffect(() => reset(valuesOf(settings), { keepDirtyValues: true }), [settings, reset])
  // What is wrong is to be read, not to lie under the bar.
  const wrong = Object.keys(errors).join()
  useEffect(() => {
    if (wrong !== '') frame.current?.querySelector('[aria-invalid=true]')?.closest('[data-field]')?.scrollIntoView({ block: 'nearest' })
  }, [wrong])
  const duration = (name: 'idle' | 'duration' | 'grace', label: string, help: string) => {
    const value = watch(name)
    return (
      <Field label={label} error={errors[name]?.message} help={`${Number.isFinite(value) && value > 0 ? `${formatDuration(value * 60)}. ` : ''}${help}`}>
        <Input {...register(name, { valueAsNumber: true })} type="number" inputMode="decimal" min={1} step="any" suffix="min" className="max-w-40" />
      </Field>
    )
  }
  return (
    <Page narrow title="Settings" description="They hold for everybody.">
      <UnsavedChanges changed={isDirty && !busy} />
      {/* Who may only read has nothing to tab to here, and the page is to be scrolled by keys all the same. */}
      {!editable && (
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- see above
        <p tabIndex={0} className="mb-4 rounded text-sm text-muted">
          You may see the settings. Administrators change them.
        </p>
      )}
      <form ref={frame} noValidate onSubmit={(event) => void submit(event)} className="flex flex-col gap-4 [&_[data-field]]:scroll-mb-20">
        {problem !== null && <InlineProblem error={problem} />}
        <fieldset disabled={!editable} className="contents">
          <Card title="Terminal sessions" description="From the next session on. Sessions that are past a limit which became shorter end at once.">
            <div className="grid gap-5 sm:grid-cols-3">
              {duration('idle', 'End when idle for', 'Only keys count: what a program prints does not keep a session.')}
              {duration('duration', 'End at the latest after', 'However busy it is.')}
              {duration('grace', 'Wait for a lost browser', 'A closed tab or a lost network may come back.')}
            </div>
          </Card>
          <Card title="Rules">
            <div className="flex flex-col gap-4">
              <Controller
                control={control}
                name="require_reason"
                render={({ field }) => (
                  <SwitchField label="Ask for a reason everywhere" help="Also for targets that do not ask by themselves." checked={field.value} onChange={field.onChange} disabled={!editable} />
                )}
              />
              <Controller
                control={control}
                name="watch_visible"
                render={({ field }) => (
                  <SwitchField
                    label="People see who watches their sessions"
                    help="Who joins a session is always seen, and the ledger has everybody."
                    checked={field.value}
                    onChange={field.onChange}
                    disabled={!editable}
                  />
                )}
              />
              <Controller
                control={control}
                name="clipboard_write"
                render={({ field }) => (
                  <SwitchField
                    label="Targets may write to the clipboard"
                    help="Programs on a target can put text on the clipboard of the browser, where the person allows it too."
                    checked={field.value}
                    onChange={field.onChange}
                    disabled={!editable}
                  />
                )}
              />
            </div>
          </Card>
          <Card title="Recordings">
            <div className="flex flex-col gap-5">
              <Controller
                control={control}
                name="recorded"
                render={({ field }) => (
                  <SwitchField
                    label="Every session must be recorded"
                    help={
                      settings.recording.required_by_hub
                        ? 'The configuration of the hub demands it.'
                        : 'A session that cannot be recorded is refused, or ends.'
                    }
                    checked={field.value}
                    onChange={field.onChange}
                    disabled={!editable || settings.recording.required_by_hub}
                  />
                )}
              />
              <Field label="Delete recordings after" optional error={errors.retention?.message} help="Counted from the end of the session, and also for recordings that are there now. Empty keeps them. Recordings on hold stay in any case.">
                <Input {...register('retention')} inputMode="numeric" suffix="days" className="max-w-40" />
              </Field>
            </div>
          </Card>
          <Card title="Message">
            <Field label="Message of the day" optional error={errors.motd?.message} help="Shown to everybody above the launcher. Plain text.">
              <Textarea rows={4} {...register('motd')} />
            </Field>
          </Card>
          {editable && (
            <div className="sticky bottom-0 -mx-1 flex justify-end gap-2 bg-canvas px-1 py-3">
              <Button disabled={!isDirty} onClick={() => reset(valuesOf(settings))}>
                Discard
              </Button>
              <Button type="submit" variant="primary" busy={busy} disabled={!isDirty}>
                Save settings
              </Button>
            </div>
          )}
        </fieldset>
      </form>
      {asking && <RetentionQuestion {...asking} before={settings.recording.retention_days} />}
    </Page>
  )
}

/** Asks before a retention that deletes what is there is saved. */
function RetentionQuestion({ days, before, answer }: { days: number; before: number | null; answer: (yes: boolean) => void }) {
  const older = useQuery({ queryKey: ['recordings', 'older', days], queryFn: () => recordings.olderThan(days), gcTime: 0, retry: false })
  return (
    <Dialog open onClose={() => answer(false)} title={`Delete recordings after ${count(days, 'day')}?`}>
      <DialogBody className="pt-1 text-sm text-muted [&_strong]:font-medium [&_strong]:text-fg">
        <p>
          {before === null ? 'Until now recordings are kept for ever.' : `Until now recordings are kept for ${count(before, 'day')}.`} Those of sessions that ended
          more than {count(days, 'day')} ago are deleted soon after this is saved, unless they are on hold. A deleted recording cannot be brought back.
        </p>
        <p role="status" className="mt-3">
          {older.isPending ? (
            'Counting them…'
          ) : typeof older.data === 'number' ? (
            <strong>{older.data === 0 ? 'None is that old now.' : `${count(older.data, 'recording')} ${older.data === 1 ? 'is' : 'are'} that old now.`}</strong>
          ) : (
            'How many that are now could not be counted here.'
          )}
        </p>
      </DialogBody>
      <DialogFooter>
        <Button autoFocus onClick={() => answer(false)}>
          Keep editing
        </Button>
        <Button variant="danger" onClick={() => answer(true)}>
          Save and delete
        </Button>
      </DialogFooter>
    </Dialog>
  )
}
