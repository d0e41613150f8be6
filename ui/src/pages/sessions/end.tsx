import { toast } from 'sonner'
import { sessions } from '@/api/hub'
import type { Session } from '@/api/types'
import { ConfirmDialog } from '@/components/confirm'

/** Ends a session, with a reason that the other side is told. */
export function EndSessionDialog({ session, onClose }: { session: Session; onClose: () => void }) {
  return (
    <ConfirmDialog
      onClose={onClose}
      title={`End the session on ${session.target_name}?`}
      action="End session"
      askReason
      onConfirm={async (reason) => {
        await sessions.terminate(session.id, reason)
        toast.success(`The session on ${session.target_name} was ended`)
      }}
    >
      <strong>{session.user_name}</strong> is disconnected from <strong>{session.target_name}</strong> at once. What runs in
      the foreground there is likely to be interrupted.
    </ConfirmDialog>
  )
}
