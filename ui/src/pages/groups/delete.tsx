import { toast } from 'sonner'
import { groups } from '@/api/hub'
import type { Group } from '@/api/types'
import { ConfirmDialog } from '@/components/confirm'
import { count } from '@/lib/format'

/** Asks for the name before a group goes. */
export const DeleteGroup = ({ group, onClose, onDeleted }: { group: Group; onClose: () => void; onDeleted?: () => void }) => (
  <ConfirmDialog
    onClose={onClose}
    title={`Delete the group ${group.name}?`}
    action="Delete group"
    nameToType={group.name}
    onConfirm={async () => {
      await groups.remove(group.id)
      toast.success(`Group ${group.name} deleted`)
      onDeleted?.()
    }}
  >
    {group.member_count > 0 ? (
      <>
        <strong>{count(group.member_count, 'member')}</strong> lose the targets and roles that only this group gives them; their open sessions there end at once.
      </>
    ) : (
      'Nobody is in it, so nobody loses anything.'
    )}{' '}
    This cannot be undone.
  </ConfirmDialog>
)
