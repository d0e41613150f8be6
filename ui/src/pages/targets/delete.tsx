import { toast } from 'sonner'
import { targets } from '@/api/hub'
import type { Target } from '@/api/types'
import { ConfirmDialog } from '@/components/confirm'

/** Asks for the name before a target goes. */
export function DeleteTarget({ target, onClose, onDeleted }: { target: Target; onClose: () => void; onDeleted?: () => void }) {
  return (
    <ConfirmDialog open onClose={onClose} title={`Delete ${target.name}?`} action="Delete target" nameToType={target.name}
      onConfirm={async () => {
        await targets.remove(target.id)
        toast.success(`Target ${target.name} deleted`)
        onDeleted?.()
      }}>
      Nobody can connect to <strong>{target.name}</strong> any more, and its trusted host keys are forgotten. The record of past sessions stays.
    </ConfirmDialog>
  )
}
