import { zodResolver } from '@hookform/resolvers/zod'
import { useBlocker } from '@tanstack/react-router'
import { useEffect, useId, useState, type ReactNode } from 'react'
import { useForm, type DefaultValues, type FieldValues, type Path, type UseFormReturn } from 'react-hook-form'
import type { z } from 'zod'
import { ApiProblem, hasCode } from '@/api/problem'
import { queryClient } from '@/lib/query-client'
import { holdUnsaved } from '@/lib/unsaved'
import { fieldSentence } from '@/lib/words'
import { Button } from './button'
import { Dialog, DialogBody, DialogFooter } from './dialog'
import { InlineProblem } from './states'

interface FormOptions<Values extends FieldValues> {
  schema: z.ZodType<Values, Values>
  values: DefaultValues<Values>
  /** Where a field of the hub's answer is shown, when it has another name here. */
  fieldNames?: Record<string, Path<Values>>
  /** A problem that is about one field, by its code, and what to say there. */
  fieldOfCode?: Record<string, { field: Path<Values>; message: string }>
  onSubmit: (values: Values) => Promise<unknown>
}

/** A form whose mistakes, its own and the hub's, end up next to the field they are about. */
export function useHubForm<Values extends FieldValues>({ schema, values, fieldNames, fieldOfCode, onSubmit }: FormOptions<Values>) {
  const form = useForm<Values>({ resolver: zodResolver(schema), defaultValues: values, mode: 'onTouched' })
  const [problem, setProblem] = useState<unknown>(null)
  const submit = form.handleSubmit(async (entered) => {
    setProblem(null)
    try {
      await onSubmit(entered)
    } catch (error) {
      const about = error instanceof ApiProblem ? fieldOfCode?.[error.code] : undefined
      if (about) form.setError(about.field, { message: about.message }, { shouldFocus: true })
      else if (!placeOnFields(error, form, fieldNames)) setProblem(error)
    }
  })
  return { form, submit, problem, busy: form.formState.isSubmitting }
}

/** Puts what the hub said about fields next to them; false when something has no place. */
function placeOnFields<Values extends FieldValues>(
  error: unknown,
  form: UseFormReturn<Values>,
  fieldNames: Record<string, Path<Values>> = {},
): boolean {
  if (!(error instanceof ApiProblem)) return false
  let placed = error.fields.length > 0
  for (const { field, message } of error.fields) {
    const name = fieldNames[field] ?? (field.replace(/^secret\./, '') as Path<Values>)
    if ((name.split(/[.[]/)[0] ?? '') in form.getValues()) form.setError(name, { message: fieldSentence(message) }, { shouldFocus: true })
    else placed = false
  }
  return placed
}


/** What has to be known before something is saved. */
export interface SaveQuestion {
  title: string
  /** The verb on the button that goes on. */
  action: string
  content: ReactNode
}

interface FormPanelProps<Values extends FieldValues> extends FormOptions<Values> {
  title: string
  description?: ReactNode
  /** The verb on the button. */
  action: string
  onClose: () => void
  /** What to ask before these values are saved, if anything. */
  ask?: (values: Values) => SaveQuestion | null
  children: (form: UseFormReturn<Values>) => ReactNode
}

/** A form in a panel at the side. Closing with changes asks first. */
export function FormPanel<Values extends FieldValues>({ title, description, action, onClose, ask, children, ...options }: FormPanelProps<Values>) {
  const [leaving, setLeaving] = useState(false)
  const [asking, setAsking] = useState<(SaveQuestion & { answer: (yes: boolean) => void }) | null>(null)
  const [declined, setDeclined] = useState(false)
  const id = useId()
  const { form, submit, problem, busy } = useHubForm<Values>({
    ...options,
    onSubmit: async (values) => {
      const question = ask?.(values)
      const yes = !question || (await new Promise<boolean>((answer) => setAsking({ ...question, answer })))
      setAsking(null)
      setDeclined(!yes)
      if (!yes) return
      await options.onSubmit(values)
      onClose()
    },
  })
  // What was deleted meanwhile cannot be saved any more: the page behind is to say so.
  const gone = hasCode(problem, 'not_found')
  const changed = form.formState.isDirty && !gone
  const saved = form.formState.isSubmitSuccessful && problem === null && !declined
  const close = () => {
    if (changed) return setLeaving(true)
    if (gone) void queryClient.invalidateQueries({ type: 'active' })
    onClose()
  }
  return (
    <Dialog
      open
      as="panel"
      onClose={close}
      title={title}
      description={description}
      footer={
        <DialogFooter>
          <Button onClick={close}>Cancel</Button>
          <Button type="submit" form={id} variant="primary" busy={busy}>
            {action}
          </Button>
        </DialogFooter>
      }
    >
      <DialogBody>
        <form id={id} noValidate onSubmit={(event) => void submit(event)} className="flex flex-col gap-5">
          {problem !== null && <InlineProblem error={problem} />}
          {children(form)}
        </form>
      </DialogBody>
      {asking && (
        <Dialog open onClose={() => asking.answer(false)} title={asking.title}>
          <DialogBody className="pt-1 text-sm text-muted [&_strong]:font-medium [&_strong]:text-fg">{asking.content}</DialogBody>
          <DialogFooter>
            <Button autoFocus onClick={() => asking.answer(false)}>
              Keep editing
            </Button>
            <Button variant="danger" onClick={() => asking.answer(true)}>
              {asking.action}
            </Button>
          </DialogFooter>
        </Dialog>
      )}
      <LeaveDialog open={leaving} onStay={() => setLeaving(false)} onLeave={onClose} />
      <UnsavedChanges changed={changed && !saved} />
    </Dialog>
  )
}

function LeaveDialog({ open, onStay, onLeave }: { open: boolean; onStay: () => void; onLeave: () => void }) {
  return (
    <Dialog open={open} onClose={onStay} title="Leave without saving?">
      <DialogBody className="pt-1 text-sm text-muted">What you entered will be lost.</DialogBody>
      <DialogFooter>
        <Button data-first onClick={onStay}>
          Keep editing
        </Button>
        <Button variant="danger" onClick={onLeave}>
          Discard changes
        </Button>
      </DialogFooter>
    </Dialog>
  )
}

/**
 * Asks before the page is left while there are changes, by a link or the back button; where the tab is
 * closed, the browser asks with words of its own.
 */
export function UnsavedChanges({ changed }: { changed: boolean }) {
  useEffect(() => (changed ? holdUnsaved() : undefined), [changed])
  const blocker = useBlocker({ shouldBlockFn: () => changed, enableBeforeUnload: () => changed, disabled: !changed, withResolver: true })
  const { status, reset, proceed } = blocker
  return <LeaveDialog open={status === 'blocked'} onStay={() => reset?.()} onLeave={() => proceed?.()} />
}
