import { toast } from 'sonner'
import { targets } from '@/api/hub'
import type { Target } from '@/api/types'
import { ConfirmDialog } from '@/components/confirm'
import { SessionsThatEnd } from '@/components/sessions-that-end'

/** Asks for the name before a target goes. */
export const DeleteTarget = ({ target, onClose, onDeleted }: { target: Target; onClose: () => void; onDeleted?: () => void }) => (
  <ConfirmDialog
    onClose={onClose}
    title={`Delete the target ${target.name}?`}
    action="Delete target"
    nameToType={target.name}
    onConfirm={async () => {
      await targets.remove(target.id)
      toast.success(`Target ${target.name} deleted`)
      onDeleted?.()
    }}
  >
    Nobody can connect to <strong>{target.name}</strong> any more, and its trusted host keys are forgotten. The record of past
    sessions stays. This cannot be undone.
    <SessionsThatEnd of={{ target_id: target.id }} />
  </ConfirmDialog>
)

/** Asks before a target is switched off. */
export const SwitchOffTarget = ({ target, onClose }: { target: Target; onClose: () => void }) => (
  <ConfirmDialog
    onClose={onClose}
    title={`Switch ${target.name} off?`}
    action="Switch off"
    onConfirm={async () => {
      await targets.update(target.id, { enabled: false })
      toast.success(`${target.name} is switched off`)
    }}
  >
    Nobody can connect to <strong>{target.name}</strong> until it is switched on again.
    <SessionsThatEnd of={{ target_id: target.id }} />
  </ConfirmDialog>
)
