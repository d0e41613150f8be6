import { useMutation } from '@tanstack/react-query'
import { useId, useState, type ReactNode } from 'react'
import { hasCode } from '@/api/problem'
import { queryClient } from '@/lib/query-client'
import { Button } from './button'
import { Dialog, DialogBody, DialogFooter } from './dialog'
import { Input, Textarea } from './field'
import { InlineProblem } from './states'

interface ConfirmProps {
  onClose: () => void
  title: string
  /** What will happen, in words. */
  children: ReactNode
  /** The verb on the button: "Delete target". */
  action: string
  /** The name to type first, for what cannot be undone. */
  nameToType?: string
  /** Ask why; the reason is handed to `onConfirm`. */
  askReason?: boolean
  /** Who reads the reason. */
  reasonHelp?: string
  tone?: 'danger' | 'primary'
  onConfirm: (reason: string) => Promise<unknown>
}

/** Asks before an act; stays open with the problem when the act fails. */
export function ConfirmDialog(props: ConfirmProps) {
  return (
    <Dialog open onClose={props.onClose} title={props.title}>
      <ConfirmForm {...props} />
    </Dialog>
  )
}

function ConfirmForm({ onClose, children, action, nameToType, askReason, reasonHelp = 'The user reads it, and it is kept in the ledger.', tone = 'danger', onConfirm }: ConfirmProps) {
  const [typed, setTyped] = useState('')
  const [reason, setReason] = useState('')
  const id = useId()
  const act = useMutation({ mutationFn: () => onConfirm(reason.trim()), onSuccess: onClose })
  const close = () => {
    // Somebody else was quicker: the page behind is to say so.
    if (hasCode(act.error, 'not_found')) void queryClient.invalidateQueries({ type: 'active' })
    onClose()
  }
  const ready = (!nameToType || typed === nameToType) && (!askReason || reason.trim() !== '')
  return (
    <form
      className="flex min-h-0 flex-col"
      onSubmit={(event) => {
        event.preventDefault()
        event.stopPropagation()
        if (ready) act.mutate()
      }}
    >
      <DialogBody className="flex flex-col gap-4 pt-2">
        <div className="text-sm text-muted [&_strong]:font-medium [&_strong]:text-fg">{children}</div>
        {askReason && (
          <div>
            <label htmlFor={`${id}-reason`} className="mb-1.5 block text-sm font-medium">
              Reason
            </label>
            <Textarea
              id={`${id}-reason`}
              rows={2}
              maxLength={500}
              required
              autoFocus
              value={reason}
              onChange={(event) => setReason(event.target.value)}
            />
            <p className="mt-1 text-xs text-faint">{reasonHelp}</p>
          </div>
        )}
        {nameToType && (
          <div>
            <label htmlFor={`${id}-name`} className="mb-1.5 block text-sm text-muted">
              Type <strong className="font-mono text-xs font-medium break-all text-fg">{nameToType}</strong> to confirm
            </label>
            <Input
              id={`${id}-name`}
              autoComplete="off"
              spellCheck={false}
              autoFocus={!askReason}
              value={typed}
              onChange={(event) => setTyped(event.target.value)}
            />
          </div>
        )}
        {act.error && <InlineProblem error={act.error} />}
      </DialogBody>
      <DialogFooter>
        <Button onClick={close} autoFocus={!nameToType && !askReason}>
          Cancel
        </Button>
        <Button type="submit" variant={tone} busy={act.isPending} disabled={!ready}>
          {action}
        </Button>
      </DialogFooter>
    </form>
  )
}
