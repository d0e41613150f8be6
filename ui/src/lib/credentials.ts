/** How credentials are told apart: two of them may have the same name. */
import type { CredentialKind } from '@/api/types'

/** What kind of credential it is, in words. */
export const credentialKind: Record<CredentialKind, string> = { password: 'Password', private_key: 'Private key', ssh_ca: 'Signed certificate' }

/** "root, private key": whom it logs in as, and how. */
export const credentialHint = ({ username, kind }: { username: string; kind: CredentialKind }): string =>
  `${username}, ${credentialKind[kind].toLowerCase()}`

/** "web (root, private key)". */
export const credentialLabel = (credential: { name: string; username: string; kind: CredentialKind }): string =>
  `${credential.name} (${credentialHint(credential)})`
