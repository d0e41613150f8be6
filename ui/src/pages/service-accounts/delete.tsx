import { toast } from 'sonner'
import { serviceAccounts } from '@/api/hub'
import type { ServiceAccount } from '@/api/types'
import { ConfirmDialog } from '@/components/confirm'

/** Asks for the name before a service account goes. */
export const DeleteServiceAccount = ({ account, onClose, onDeleted }: { account: ServiceAccount; onClose: () => void; onDeleted?: () => void }) => (
  <ConfirmDialog
    onClose={onClose}
    title={`Delete the service account ${account.name}?`}
    action="Delete service account"
    nameToType={account.name}
    onConfirm={async () => {
      await serviceAccounts.remove(account.id)
      toast.success(`Service account ${account.name} deleted`)
      onDeleted?.()
    }}
  >
    All its tokens stop working at once, and with them the programs that use them. What it did stays in the ledger. This
    cannot be undone.
  </ConfirmDialog>
)
