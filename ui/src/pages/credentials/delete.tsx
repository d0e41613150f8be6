import { toast } from 'sonner'
import { credentials } from '@/api/hub'
import type { Credential } from '@/api/types'
import { ConfirmDialog } from '@/components/confirm'
import { SessionsThatEnd } from '@/components/sessions-that-end'
import { count } from '@/lib/format'

/** Asks for the name before a credential goes. */
export const DeleteCredential = ({ credential, onClose, onDeleted }: { credential: Credential; onClose: () => void; onDeleted?: () => void }) => (
  <ConfirmDialog
    onClose={onClose}
    title={`Delete the credential ${credential.name}?`}
    action="Delete credential"
    nameToType={credential.name}
    onConfirm={async () => {
      await credentials.remove(credential.id)
      toast.success(`Credential ${credential.name} deleted`)
      onDeleted?.()
    }}
  >
    {credential.target_count > 0 ? (
      <>
        <strong>{count(credential.target_count, 'target')}</strong> use it; nobody can log in there with it any more.
      </>
    ) : (
      'No target uses it.'
    )}{' '}
    {credential.managed ? 'Its secret is removed from the vault. ' : 'What is in the vault stays there. '}
    This cannot be undone.
    {credential.target_count > 0 && <SessionsThatEnd of={{}} only={({ credential_id }) => credential_id === credential.id} />}
  </ConfirmDialog>
)
